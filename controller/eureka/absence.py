"""When a 404 is a registry's word that an instance is not there.

Proxies, gateways and applications answer 404, too, to a path that they do not know. A Spring Cloud server does so by
Spring Boot's error document, word for word what any Spring Boot application says at a wrong path; a plain Netflix
server by an empty body, there and at a wrong path. So a body can only speak against an absence. What speaks for it is
that the node shows at the same time, under the same URL, what only a registry has: a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import msgspec

from controller.errors import RegistryError
from controller.eureka.registry_decoder import NonsenseError

PROOF_LIFETIME = 3.0
"""Seconds for which a list proves that its node is a registry: a proxy on the way may lose the node at any time."""


class _ErrorDocument(msgspec.Struct):
    """Spring Boot's description of an error."""

    status: int
    path: str | None = None
    request_id: object = msgspec.field(name="requestId", default=None)
    """Reactive servers, such as a gateway, write one; a Eureka server is a servlet."""


_error_document = msgspec.json.Decoder(_ErrorDocument)


def may_be_a_registrys_404(body: bytes, path: str) -> bool:
    """Return whether a registry may have answered 404 with this body to a request for this path (quoted)."""
    if not body.strip():
        return True
    try:
        document = _error_document.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    if document.status != 404 or document.request_id is not None:
        return False
    # A proxy may have put the registry under another prefix.
    asked = unquote(path.partition("?")[0])
    return document.path is None or unquote(document.path).endswith(asked)


class RegistryProof:
    """Whether one node is a registry, asked for at most once at a time, whoever needs to know it."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        """``ask`` raises RegistryError unless the node shows a list."""
        self._ask = ask
        self._lock = asyncio.Lock()
        self._proved_at = float("-inf")
        self._failed_at = float("-inf")
        self._failure = RegistryError("")

    def note(self) -> None:
        """Note that the node has just shown a list."""
        self._proved_at = _now()

    async def demand(self) -> None:
        """Return if the node is a registry; raise RegistryError when it does not show that."""
        came_at = _now()
        async with self._lock:
            if _now() - self._proved_at < PROOF_LIFETIME:
                return
            if self._failed_at < came_at:
                try:
                    await self._ask()
                except RegistryError as error:
                    self._failed_at, self._failure = _now(), error
                else:
                    self.note()
                    return
        raise NonsenseError(f"HTTP 404, but no list, which a registry shows: {self._failure}") from self._failure


def _now() -> float:
    return asyncio.get_running_loop().time()
