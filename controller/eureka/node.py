"""One Eureka node: the five calls that a drain needs, and nothing else.

Not sent, ever: a heartbeat for somebody else (it keeps a corpse alive), ``lastDirtyTimestamp`` (a larger one makes the
server drop the client's next registration), the replication header. Redirects are not followed. Each id is quoted as
one path segment, and the URL is not normalised afterwards.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from controller.domain.addressing import unaddressable
from controller.domain.instances import OUT_OF_SERVICE, Condition, Instance, Reading, read, trouble_of
from controller.domain.reason import Reason, ReasonCode, combine
from controller.domain.region_state import NodeState
from controller.errors import RegistryError
from controller.eureka.registry_decoder import (
    NonsenseError,
    Peers,
    decode_all,
    decode_fingerprint,
    decode_instance,
    decode_peers,
)
from controller.settings import SecretUrl
from controller.tls.trouble import explain
from controller.tracing import span

MAX_INSTANCE_BYTES = 1024 * 1024
MAX_REGISTRY_BYTES = 512 * 1024 * 1024
"""Bytes. Real entries are 1 to 3 kB."""
REGISTRY_TIMEOUT = timedelta(seconds=30)
NOBODY = "EUREKA-DRAIN-DOCTOR-HAS-NO-INSTANCE"


class DeniedError(RegistryError):
    """401 or 403: a configuration error."""

    code = ReasonCode.denied


class UnreachableError(RegistryError):
    """No connection, or no answer in time."""


class Answer(NamedTuple):
    """What a node said; ``date`` is its clock's."""

    status: int
    body: bytes
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccess:
    """Where a node is, and what is shown to it. A user in the URL goes before ``username``."""

    url: SecretUrl
    username: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header of basic authentication, if there is a user."""
        parts = urlsplit(self.url.get_secret_value())
        user = unquote(parts.username) if parts.username else self.username
        secret = unquote(parts.password) if parts.password else self.password
        if not user:
            return {}
        token = base64.b64encode(f"{user}:{secret}".encode()).decode()
        return {"Authorization": f"Basic {token}"}


class Node:
    """One server of a region. ``url`` is safe to print; credentials travel in the header only."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: NodeAccess,
        *,
        timeout: timedelta = timedelta(seconds=3),
        concurrency: int = 64,
    ) -> None:
        self.url = address_of(access.url.get_secret_value())
        self.rotate_credentials(access)
        self._session = session
        self._timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)

    def rotate_credentials(self, access: NodeAccess) -> None:
        """Use this access from the next request on; it leads where it did."""
        self._headers = access.headers
        # Part of what the session distinguishes connections by: one that was opened with another is not used again.
        self._tls = access.tls

    async def read(self, app: str, instance_id: str) -> Reading:
        """Read one instance past every cache; whatever goes wrong is part of the reading."""
        try:
            return read(self.url, await self.get(app, instance_id))
        except RegistryError as error:
            return refusal(self.url, error)

    async def get(self, app: str, instance_id: str) -> Instance | None:
        """Return the instance as this node holds it, None when it does not."""
        answer = await self._call("GET", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}")
        if answer.status == 404:
            return None
        instance = decode_instance(answer.body)
        if instance.app != app.upper() or instance.id != instance_id:
            raise NonsenseError("the answer is about another instance")
        return instance

    async def look_up(self, instance_id: str) -> Instance | None:
        """Return the instance of this id in whichever app, past every cache."""
        answer = await self._call("GET", f"/instances/{_segment(instance_id)}")
        if answer.status == 404:
            return None
        instance = decode_instance(answer.body)
        if instance.id != instance_id:
            raise NonsenseError("the answer is about another instance")
        return instance

    async def everything(self) -> list[Instance]:
        """Return the whole registry, through the server's response cache: up to 30 s old."""
        return decode_all((await self.registry()).body)

    async def registry(self) -> Answer:
        """Return the same, as it came."""
        return await self._call("GET", "/apps", largest=MAX_REGISTRY_BYTES, timeout=REGISTRY_TIMEOUT)

    async def try_to_write(self) -> None:
        """Set an override on an instance that nobody can have: shows whether writes are let through."""
        await self._call("PUT", f"/apps/{NOBODY}/{NOBODY}/status?value={OUT_OF_SERVICE}")

    async def peers(self) -> Peers:
        """Whom it replicates to, as it says itself. Its JSON of this page is broken, its XML is not."""
        return decode_peers((await self._call("GET", "/status", accept="application/xml")).body)

    async def survey(self) -> NodeState:
        """Whether it answers, and its fingerprint of its registry: cheap, through the response cache."""
        try:
            answer = await self._call("GET", "/apps/delta", largest=MAX_REGISTRY_BYTES)
            return NodeState(node=self.url, reachable=True, counted=decode_fingerprint(answer.body))
        except RegistryError as error:
            return NodeState(node=self.url, reachable=False, detail=str(error))

    async def ask_server(self, path: str) -> bytes | None:
        """Return what it answers beside its registry, at the place where that stands; None where there is nothing.

        Servers answer with 401 or 403, or with a page, what they do not show.
        """
        base = self.url.removesuffix("/v2").removesuffix("/eureka")
        answer = await self._call("GET", path, base=base)
        return None if answer.status == 404 else answer.body

    async def put_status(self, app: str, instance_id: str, status: str = OUT_OF_SERVICE) -> None:
        """Set an override. A 200 proves nothing (and 404 is as good): read it back."""
        with span("eureka.put_status", node=self.url, app=app, instance=instance_id, status=status):
            await self._call("PUT", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}/status?value={status}")

    async def lift(self, app: str, instance_id: str) -> None:
        """Lift the override and show UP. To be sent to every node at once: one after the other splits them."""
        with span("eureka.lift", node=self.url, app=app, instance=instance_id):
            await self._call("DELETE", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}/status?value=UP")

    async def delete(self, app: str, instance_id: str) -> None:
        """Delete the instance and its override. 404 is as good."""
        with span("eureka.delete", node=self.url, app=app, instance=instance_id):
            await self._call("DELETE", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        largest: int = MAX_INSTANCE_BYTES,
        timeout: timedelta | None = None,
        accept: str = "application/json",
        base: str | None = None,
    ) -> Answer:
        limit = aiohttp.ClientTimeout(total=(timeout or self._timeout).total_seconds())
        async with self._slots:
            try:
                async with self._session.request(
                    method,
                    URL((self.url if base is None else base) + path, encoded=True),
                    headers={**self._headers, "Accept": accept},
                    timeout=limit,
                    allow_redirects=False,
                    ssl=self._tls or True,
                ) as response:
                    body = await _read(response, largest)
            except TimeoutError as error:
                raise UnreachableError("no answer in time") from error
            except (aiohttp.ClientConnectionError, ConnectionError) as error:
                raise UnreachableError(explain(error) or _short(error)) from error
            except (aiohttp.ClientError, ValueError) as error:
                raise NonsenseError(f"not HTTP as we know it ({type(error).__name__})") from error
        if response.status in (200, 204, 404):
            return Answer(response.status, body, response.headers.get("Date", ""))
        if response.status in (401, 403):
            raise DeniedError(f"HTTP {response.status} to {method}: check user, password and CSRF protection")
        if response.status in (301, 302, 303, 307, 308):
            raise NonsenseError(f"HTTP {response.status}: redirects are not followed; name the node itself")
        if response.status == 400 and self.url.startswith("http:") and (b"TLS" in body or b"HTTPS" in body):
            # Tomcat, nginx and Go answer what is not TLS in plain text, each in its own words.
            raise NonsenseError("the node expects TLS there: write https://")
        raise NonsenseError(f"HTTP {response.status} to {method}")


def address_of(url: str) -> str:
    """Return a node's URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def refusal(url: str, error: RegistryError) -> Reading:
    """Turn a call's failure into a reading."""
    match error:
        case DeniedError():
            condition = Condition.denied
        case UnreachableError():
            condition = Condition.unreachable
        case _:
            condition = Condition.failing
    return Reading(node=url, condition=condition, detail=str(error))


def trouble(url: str, error: RegistryError) -> Reason:
    """Describe a call's failure in the words of readings."""
    return trouble_of((refusal(url, error),))


def too_slow(url: str) -> Reason:
    """Describe a node that was not waited for."""
    return Reason(code=ReasonCode.unreachable, detail=f"{url}: slower than the others")


def no_answer(troubles: Sequence[Reason]) -> RegistryError:
    """Return the error of a region of which no node, or not every node, answers."""
    reason = combine(troubles)
    return RegistryError(str(reason), reason.code)


def _segment(text: str) -> str:
    if why := unaddressable(text):
        raise NonsenseError(f"{text[:60]!r} {why}")
    return quote(text, safe="")


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(65_536):
        size += len(chunk)
        if size > largest:
            raise ValueError("too large")
        chunks.append(chunk)
    return b"".join(chunks)


def _short(error: BaseException) -> str:
    """Return the kind of trouble without the URL: aiohttp's texts repeat it."""
    os_error = getattr(error, "os_error", error)
    text = getattr(os_error, "strerror", None)
    return str(text) if text else type(error).__name__
