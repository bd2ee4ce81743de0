"""HTTP to one node: credentials, limits, what an answer's status means, and what its timing tells of the node.

Redirects are not followed, and the URL is not normalised.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from controller.domain.clock_offset import ClockOffset
from controller.domain.diagnostics import read_http_date
from controller.domain.reason import ReasonCode
from controller.errors import RegistryError
from controller.eureka.registry_decoder import NonsenseError
from controller.flows.ports import Clock
from controller.settings import SecretUrl
from controller.tls.trouble import explain

MAX_INSTANCE_BYTES = 1024 * 1024
MAX_REGISTRY_BYTES = 512 * 1024 * 1024
"""Bytes. Real entries are 1 to 3 kB."""


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


class Transport:
    """One node's. ``url`` is safe to print; credentials travel in the header only."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: NodeAccess,
        *,
        clock: Clock,
        timeout: timedelta,
        concurrency: int,
    ) -> None:
        self.url = address_of(access.url.get_secret_value())
        self.is_frozen = False
        """Whether the last that was heard of it is that a request ran into its timeout."""
        self.clock_offset = ClockOffset()
        self.rotate_credentials(access)
        self._session = session
        self._clock = clock
        self._timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)

    def rotate_credentials(self, access: NodeAccess) -> None:
        """Use this access from the next request on; it leads where it did."""
        self._headers = access.headers
        # Part of what the session distinguishes connections by: one that was opened with another is not used again.
        self._tls = access.tls

    async def call(
        self,
        method: str,
        path: str,
        *,
        largest: int = MAX_INSTANCE_BYTES,
        timeout: timedelta | None = None,
        accept: str = "application/json",
        base: str | None = None,
    ) -> Answer:
        """Return the answer if its status is 200, 204 or 404; raise RegistryError for every other, and for none."""
        limit = aiohttp.ClientTimeout(total=(timeout or self._timeout).total_seconds())
        async with self._slots:
            begun_at = self._clock()
            try:
                async with self._session.request(
                    method,
                    URL((self.url if base is None else base) + path, encoded=True),
                    headers={**self._headers, "Accept": accept},
                    timeout=limit,
                    allow_redirects=False,
                    ssl=self._tls or True,
                ) as response:
                    # The date is written with the headers; a long body may follow.
                    came_at = self._clock()
                    body = await _read(response, largest)
            except TimeoutError as error:
                self.is_frozen = True
                raise UnreachableError("no answer in time") from error
            except (aiohttp.ClientConnectionError, ConnectionError) as error:
                self.is_frozen = False
                raise UnreachableError(explain(error) or _short(error)) from error
            except (aiohttp.ClientError, ValueError) as error:
                self.is_frozen = False
                raise NonsenseError(f"not HTTP as we know it ({type(error).__name__})") from error
        self.is_frozen = False
        if response.status not in (200, 204, 404):
            raise self._refused(method, response.status, body)
        date = response.headers.get("Date", "")
        self.clock_offset.measure(read_http_date(date), begun_at, came_at)
        return Answer(response.status, body, date)

    def _refused(self, method: str, status: int, body: bytes) -> RegistryError:
        if status in (401, 403):
            return DeniedError(f"HTTP {status} to {method}: check user, password and CSRF protection")
        if status in (301, 302, 303, 307, 308):
            return NonsenseError(f"HTTP {status}: redirects are not followed; name the node itself")
        if status == 400 and self.url.startswith("http:") and (b"TLS" in body or b"HTTPS" in body):
            # Tomcat, nginx and Go answer what is not TLS in plain text, each in its own words.
            return NonsenseError("the node expects TLS there: write https://")
        return NonsenseError(f"HTTP {status} to {method}")


def address_of(url: str) -> str:
    """Return a node's URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


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
