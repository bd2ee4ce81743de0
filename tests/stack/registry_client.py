"""A small client of one Eureka node, for tests and for the Python sample service.

It speaks the registry's REST protocol in JSON and does exactly what it is asked, once: no retry, no second node.
"""

import json
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

Instance = dict[str, Any]


class RegistryError(RuntimeError):
    """The node answered with an unexpected status."""


UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError, RegistryError)
"""What a call raises when its node does not answer as it should."""
PASSED_ON = {"x-netflix-discovery-replication": "true"}
"""Headers of what a peer passes on: the node keeps it to itself."""


class RegistryClient:
    """Calls one node, whose URL ends in /eureka."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def register(
        self,
        app: str,
        instance_id: str,
        *,
        ip: str,
        host: str | None = None,
        port: int = 8080,
        secure_port: int = 0,
        status: str = "UP",
        lease_seconds: int = 90,
        renewal_seconds: int = 30,
        metadata: dict[str, str] | None = None,
        alone: bool = False,
    ) -> None:
        """Register, or register again, as a client library does; a port that is 0 is disabled.

        ``alone``: at this node alone, as a peer does that passes it on.
        """
        instance = {
            "instanceId": instance_id,
            "app": app.upper(),
            "hostName": host or ip,
            "ipAddr": ip,
            "vipAddress": app,
            "secureVipAddress": app,
            "status": status,
            "port": {"$": port or 80, "@enabled": str(port != 0).lower()},
            "securePort": {"$": secure_port or 443, "@enabled": str(secure_port != 0).lower()},
            "countryId": 1,
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            "leaseInfo": {"renewalIntervalInSecs": renewal_seconds, "durationInSecs": lease_seconds},
            "metadata": metadata or {},
        }
        await self._call("POST", ["apps", app], body={"instance": instance}, headers=PASSED_ON if alone else None)

    async def heartbeat(self, app: str, instance_id: str) -> bool:
        """False means: the node does not know it, register again."""
        return await self._call("PUT", ["apps", app, instance_id]) is not None

    async def get(self, app: str, instance_id: str) -> Instance | None:
        """Straight from the registry, not from the response cache."""
        found = await self._call("GET", ["apps", app, instance_id])
        return found["instance"] if found else None

    async def apps(self) -> dict[str, list[Instance]]:
        """All instances by app, through the response cache: up to 30 s old."""
        found = await self._call("GET", ["apps"])
        return {app["name"]: app["instance"] for app in (found or {})["applications"]["application"]}

    async def delete(self, app: str, instance_id: str) -> bool:
        """Deregister; False when it was absent."""
        return await self._call("DELETE", ["apps", app, instance_id]) is not None

    async def forget(self, app: str, instance_id: str) -> bool:
        """Deregister at this node alone, as a peer does that passes it on; False when it was absent."""
        return await self._call("DELETE", ["apps", app, instance_id], headers=PASSED_ON) is not None

    async def put_status(self, app: str, instance_id: str, status: str) -> bool:
        """Set an override; False when the instance is absent."""
        return await self._call("PUT", ["apps", app, instance_id, "status"], {"value": status}) is not None

    async def delete_status(self, app: str, instance_id: str, status: str | None = None) -> bool:
        """Remove the override, optionally saying the status to show until the next heartbeat."""
        params = {"value": status} if status else {}
        return await self._call("DELETE", ["apps", app, instance_id, "status"], params) is not None

    async def _call(
        self,
        method: str,
        segments: list[str],
        params: dict[str, str] | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The decoded answer ({} when it is empty), or None for 404."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        query = "?" + "&".join(f"{key}={quote(value)}" for key, value in params.items()) if params else ""
        # Each segment quoted by us and left alone by yarl, which would decode and normalise it.
        where = "/".join(quote(segment, safe="") for segment in segments)
        url = URL(f"{self.url}/{where}{query}", encoded=True)
        async with self._session.request(
            method,
            url,
            data=None if body is None else json.dumps(body),
            headers={"Accept": "application/json", "Content-Type": "application/json", **(headers or {})},
            allow_redirects=False,
        ) as answer:
            text = await answer.text()
            if answer.status == 404:
                return None
            if answer.status >= 300:
                raise RegistryError(f"{method} {url} gave {answer.status}: {text[:500]}")
            return json.loads(text) if text.strip() else {}
