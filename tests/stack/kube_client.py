"""A small Kubernetes REST client for tests and for the node stand-in.

Objects are plain dictionaries and resources are paths, so that a test shows exactly what goes over the wire. It has
none of the product's resilience on purpose: an error is raised at once.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp

Object = dict[str, Any]

# Where each kind lives; what is not here can be addressed by its full path.
_GROUPS = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "clusterroles": "/apis/rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
}


class KubeError(RuntimeError):
    """The API server refused; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class KubeClient:
    """Calls as one user. `namespace=None` means a cluster-wide resource, or all namespaces for lists."""

    def __init__(self, url: str, token: str, certificate: Path) -> None:
        self._url = url
        self._token = token
        self._certificate = certificate
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # The connector pins one connection per watch: no limit, so that watches cannot starve the calls.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(self._certificate)), limit=0),
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(total=30, sock_connect=5),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: str, name: str, namespace: str | None = "default") -> Object | None:
        """The object, or None when it does not exist."""
        try:
            return await self.call("GET", path(resource, namespace, name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, resource: str, namespace: str | None = "default", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects that match."""
        found = await self.call("GET", path(resource, namespace), params=_selectors(labels, fields))
        items: list[Object] = found["items"]
        return items

    async def create(self, resource: str, body: Object, namespace: str | None = "default") -> Object:
        """Create it; 409 when it exists."""
        return await self.call("POST", path(resource, namespace), body=body)

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Object,
        namespace: str | None = "default",
        *,
        kind: str = "strategic-merge",
    ) -> Object:
        """Patch spec or metadata; `kind` may be `merge` for custom resources."""
        return await self.call("PATCH", path(resource, namespace, name), body=patch, media=_patch(kind))

    async def patch_status(
        self, resource: str, name: str, status: Object, namespace: str | None = "default", *, uid: str = ""
    ) -> Object:
        """Merge into the status; conditions are merged by type. With a uid, 409 when it is another object by now."""
        body: Object = {"status": status}
        if uid:
            body["metadata"] = {"uid": uid}
        return await self.call(
            "PATCH", f"{path(resource, namespace, name)}/status", body=body, media=_patch("strategic-merge")
        )

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = "default",
        *,
        grace_seconds: int | None = None,
        uid: str = "",
    ) -> None:
        """Delete it, as `kubectl delete --grace-period`; an absent object, or another one by that name, is fine."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self.call("DELETE", path(resource, namespace, name), body=options)
        except KubeError as error:
            if error.status != 404 and not (uid and error.status == 409):
                raise

    async def watch(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        version: str,
        labels: str = "",
        fields: str = "",
        seconds: int = 30,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events from a resource version on, until the server ends the watch after `seconds`."""
        assert self._session is not None
        params = _selectors(labels, fields) | {
            "watch": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        # The server ends the watch by itself; the socket's timeout is for one that hangs.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=seconds + 5)
        async with self._session.get(self._url + path(resource, namespace), params=params, timeout=timeout) as answer:
            if answer.status != 200:
                raise KubeError(answer.status, await answer.text())
            # Not answer.content's own line iterator: it fails on lines longer than its buffer.
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise KubeError(event["object"].get("code", 500), event["object"].get("message", ""))
                    yield event["type"], event["object"]

    async def call(
        self,
        method: str,
        where: str,
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        media: str = "application/json",
    ) -> Object:
        """Any request; KubeError unless the answer is 2xx."""
        assert self._session is not None, "use `async with`"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": media}
        async with self._session.request(
            method, self._url + where, data=data, params=params, headers=headers
        ) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise KubeError(answer.status, text)
            decoded = json.loads(text) if answer.content_type == "application/json" else {"text": text}
            return decoded if isinstance(decoded, dict) else {"value": decoded}


def path(resource: str, namespace: str | None = None, name: str = "") -> str:
    """The URL's path of a resource by its plural name; one that starts with a slash is a group's prefix + plural."""
    prefix, _, plural = resource.rpartition("/")
    where = prefix or _GROUPS.get(plural, "/api/v1")
    if namespace is not None:
        where += f"/namespaces/{namespace}"
    where += f"/{plural}"
    return f"{where}/{name}" if name else where


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {key: value for key, value in {"labelSelector": labels, "fieldSelector": fields}.items() if value}


def _patch(kind: str) -> str:
    return f"application/{kind}-patch+json"
