"""The product as a stranger runs it: a process with its settings in the environment."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from tests.stack.addresses import free_port
from tests.stack.commits import ROOT
from tests.stack.processes import Process, ProcessError


class ControllerProcess(Process):
    """`eureka-drain` with some roles (`run`, `watch`, `work --region eu`); ready when /readyz says so."""

    def __init__(
        self,
        *roles: str,
        log: Path,
        broker: str | None,
        regions: Mapping[str, Sequence[str]],
        kubeconfig: Path | None = None,
        settings: Mapping[str, str] | None = None,
        secrets: Path | None = None,
        source: Path = ROOT,
    ) -> None:
        """`settings` are names and values as `--set` takes them; `secrets` is a secrets directory.

        `source` has the product's code, if not this repository.

        Without a `broker` its URL is in one of these.
        """
        self.roles = roles
        self.url = f"http://127.0.0.1:{free_port()}"
        given = {
            "http.host": "127.0.0.1",
            "http.port": self.url.rpartition(":")[2],
            "log.format": "text",
            **(settings or {}),
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith(("EUREKA_DRAIN_", "KUBE"))}
        if broker is not None:
            env["EUREKA_DRAIN_BROKER__URL"] = broker
        if secrets is not None:
            env["EUREKA_DRAIN_SECRETS_DIR"] = str(secrets)
        for region, urls in regions.items():
            env[f"EUREKA_DRAIN_REGIONS__{region.upper().replace('-', '_')}__NODES"] = ",".join(urls)
        if kubeconfig is not None:
            env["KUBECONFIG"] = str(kubeconfig)
        assignments = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        super().__init__(
            f"eureka-drain {' '.join(roles)}",
            [sys.executable, "-m", "controller", *assignments, *roles],
            log=log,
            env=env,
            cwd=source,
            ready=self.is_ready,
            stop_budget=30,
        )

    async def stop(self) -> None:
        """As a kubelet does. It is a failure of the product when it has to be killed in the end."""
        was_running = self.running
        await super().stop()
        if was_running and self.returncode == -signal.SIGKILL:
            raise ProcessError(f"{self.name} did not end within {self.stop_budget:g} s of SIGTERM{self.tail()}")

    async def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        return (await self._get("/readyz"))[0] == 200

    async def readiness(self) -> str:
        """What /readyz says."""
        return (await self._get("/readyz"))[1]

    async def metrics(self) -> str:
        """What Prometheus would read."""
        return (await self._get("/metrics"))[1]

    async def _get(self, path: str) -> tuple[int, str]:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(self.url + path) as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, repr(error)
