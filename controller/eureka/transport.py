"""HTTP to one node: credentials, limits, what an answer's status means, and what its timing tells of the node.

Redirects are not followed, and the URL is not normalised. Answers are unpacked here and not by the client: it would
unpack whatever comes, however large it gets.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from controller.bounds import MAX_ANSWER_BYTES, MIB, PIECE_BYTES
from controller.domain.clock_offset import ClockOffset
from controller.domain.diagnostics import read_http_date
from controller.domain.reason import ReasonCode
from controller.errors import RegistryError
from controller.eureka.registry_decoder import NonsenseError
from controller.flows.ports import Clock
from controller.settings import SecretUrl
from controller.tls.trouble import explain

ANSWERED = (200, 204, 404)
"""Statuses that say something of the registry."""


class DeniedError(RegistryError):
    """401 or 403: a configuration error."""

    code = ReasonCode.denied


class UnreachableError(RegistryError):
    """No connection, or no answer in time."""


class Answer(NamedTuple):
    """What a node said; ``date`` is its clock's. Without the body of a list that somebody took piece by piece."""

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
        self._limit = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._slots = asyncio.Semaphore(concurrency)

    def rotate_credentials(self, access: NodeAccess) -> None:
        """Use this access from the next request on; it leads where it did."""
        self._headers = {**access.headers, "Accept": "application/json", "Accept-Encoding": "gzip"}
        # Part of what the session distinguishes connections by: one that was opened with another is not used again.
        self._tls = access.tls

    async def call(
        self,
        method: str,
        path: str,
        *,
        take: Callable[[bytes], None] | None = None,
        timeout: timedelta | None = None,
        accept: str | None = None,
        base: str | None = None,
    ) -> Answer:
        """Return the answer if its status is 200, 204 or 404; raise RegistryError for every other, and for none.

        ``take`` is given the body of a 200, piece by piece, and raises what it does not like.
        """
        limit = self._limit if timeout is None else aiohttp.ClientTimeout(total=timeout.total_seconds())
        async with self._slots:
            begun_at = self._clock()
            try:
                async with self._session.request(
                    method,
                    URL((self.url if base is None else base) + path, encoded=True),
                    headers=self._headers if accept is None else {**self._headers, "Accept": accept},
                    timeout=limit,
                    allow_redirects=False,
                    ssl=self._tls or True,
                ) as response:
                    # The date is written with the headers; a long body may follow, which is read by this clock.
                    date = response.headers.get("Date", "")
                    if response.status in ANSWERED:
                        self.clock_offset.measure(read_http_date(date), begun_at, self._clock())
                    body = await _read(response, take if response.status == 200 else None)
            except TimeoutError as error:
                self.is_frozen = True
                raise UnreachableError("no answer in time") from error
            except (aiohttp.ClientConnectionError, ConnectionError) as error:
                self.is_frozen = False
                raise UnreachableError(explain(error) or _short(error)) from error
            except NonsenseError:
                self.is_frozen = False
                raise
            except (aiohttp.ClientError, ValueError) as error:
                self.is_frozen = False
                raise NonsenseError(f"not HTTP as we know it ({type(error).__name__})") from error
        self.is_frozen = False
        if response.status not in ANSWERED:
            raise self._refused(method, response.status, body)
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


async def _read(response: aiohttp.ClientResponse, take: Callable[[bytes], None] | None) -> bytes:
    is_short = response.content_length is not None and response.content_length <= PIECE_BYTES
    if take is None and is_short and "Content-Encoding" not in response.headers:
        return await response.read()  # one instance, as a rule
    body = bytearray()
    async for piece in _pieces(response):
        if take is not None:
            take(piece)
            await asyncio.sleep(0)  # a large list is not to keep the others from their turn
            continue
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise NonsenseError(f"an answer of more than {MAX_ANSWER_BYTES // MIB} MiB")
    return bytes(body)


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Unpack a body; no piece is larger than PIECE_BYTES, however well it was packed."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        async for chunk in response.content.iter_chunked(PIECE_BYTES):
            yield chunk
        return
    if encoding not in ("gzip", "x-gzip"):
        raise NonsenseError("an answer that is packed otherwise than by gzip, which alone was asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)
    try:
        async for chunk in response.content.iter_chunked(PIECE_BYTES):
            packed = chunk
            while packed and not unpacker.eof:
                yield unpacker.decompress(packed, PIECE_BYTES)
                packed = unpacker.unconsumed_tail
            if unpacker.unused_data or packed:
                raise NonsenseError("an answer that goes on after its end")
    except zlib.error as error:
        raise NonsenseError("an answer that is not what gzip writes") from error
    if not unpacker.eof:
        raise NonsenseError("an answer that breaks off")


def _short(error: BaseException) -> str:
    """Return the kind of trouble without the URL: aiohttp's texts repeat it."""
    os_error = getattr(error, "os_error", error)
    text = getattr(os_error, "strerror", None)
    return str(text) if text else type(error).__name__
