"""What a pod's spec asks its node to do at a container: environment, lifecycle hooks and readiness probes.

A hook or probe that fails says why in the error; what follows from it is the caller's business.

Trap: `$(NAME)` is expanded by the node, not by a shell, in args and in the values of variables; `$$(NAME)` stays
`$(NAME)`, and an unknown name stays as it is.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.stack.processes import Process, accepts_connections

Object = dict[str, Any]


class HandlerFailedError(RuntimeError):
    """A hook or a probe did not succeed."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`."""

    def replace(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        return variables.get(match[1], match[0])

    return re.sub(r"\$?\$\(([-._a-zA-Z0-9]+)\)", replace, text)


def environment(pod: Object, container: Object, *, ip: str, host_ip: str) -> dict[str, str]:
    """The variables of the container's spec, in order, so that later ones may use earlier ones."""
    facts = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": ip,
        "status.podIPs": ip,
        "status.hostIP": host_ip,
    }
    for kind in ("labels", "annotations"):
        for key, value in (pod["metadata"].get(kind) or {}).items():
            facts[f"metadata.{kind}['{key}']"] = value
    found: dict[str, str] = {}
    for variable in container.get("env") or []:
        if "fieldRef" in (source := variable.get("valueFrom") or {}):
            found[variable["name"]] = facts.get(source["fieldRef"]["fieldPath"], "")
        else:
            found[variable["name"]] = expand(variable.get("value", ""), found)
    return found


class Handlers:
    """Performs hooks and probes of one container: exec runs beside it, with its variables and in its folder."""

    def __init__(self, container: Object, *, ip: str, env: Mapping[str, str], folder: Path, log: Path) -> None:
        self._ports: dict[Any, int] = {port.get("name"): port["containerPort"] for port in container.get("ports") or []}
        self._name = container["name"]
        self._ip = ip
        self._env = env
        self._folder = folder
        self._log = log

    async def perform(self, handler: Object, *, timeout: float) -> None:
        """Return on success, HandlerFailedError otherwise."""
        try:
            async with asyncio.timeout(timeout):
                if "exec" in handler:
                    await self._run(handler["exec"]["command"])
                elif "httpGet" in handler:
                    await self._get(handler["httpGet"])
                elif "tcpSocket" in handler:
                    await self._connect(handler["tcpSocket"])
                elif "sleep" in handler:
                    await asyncio.sleep(handler["sleep"]["seconds"])
                else:
                    raise HandlerFailedError(f"this node does not know how to do {sorted(handler)}")
        except TimeoutError as error:
            raise HandlerFailedError(f"took longer than {timeout:g} s") from error

    async def _run(self, command: Sequence[str]) -> None:
        process = Process(f"{self._name} hook", command, log=self._log, env=self._env, cwd=self._folder)
        process.spawn()
        try:
            if code := await process.wait():
                raise HandlerFailedError(f"{' '.join(command)} ended with {code}")
        finally:
            await process.kill()

    async def _get(self, action: Object) -> None:
        host = action.get("host") or self._ip
        url = f"{action.get('scheme', 'HTTP').lower()}://{host}:{self._port(action)}{action.get('path') or '/'}"
        headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers=headers, ssl=False, allow_redirects=False) as answer,
            ):
                if not 200 <= answer.status < 400:
                    raise HandlerFailedError(f"GET {url} gave {answer.status}")
        except (aiohttp.ClientError, OSError) as error:
            raise HandlerFailedError(f"GET {url}: {error}") from error

    async def _connect(self, action: Object) -> None:
        host, port = action.get("host") or self._ip, self._port(action)
        if not await accepts_connections(port, host):
            raise HandlerFailedError(f"{host}:{port} refuses connections")

    def _port(self, action: Object) -> int:
        port: int | str = action["port"]
        return int(self._ports.get(port, port))
