"""Secrets that can be recognised wherever they come to light, and the places where they might."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import aiohttp
from aio_pika.abc import AbstractIncomingMessage
from aiohttp import web
from yarl import URL

from tests.stack.addresses import free_port
from tests.stack.waiting import until

Texts = dict[str, str]
"""What was written, by the place where it was found."""


class Canary:
    """A credential whose ends are found whatever was done to its middle: quoted, escaped, cut at an @ or a slash."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.user = f"user{secrets.token_hex(6)}"
        self.ends = (f"canary{secrets.token_hex(8)}", f"{secrets.token_hex(8)}yranac")
        self.text = "@:/%?# +é".join(self.ends)

    @property
    def userinfo(self) -> str:
        """As it stands before a URL's host."""
        return f"{quote(self.user, safe='')}:{quote(self.text, safe='')}"

    @property
    def basic(self) -> str:
        """As it stands in a header."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.text}'.encode()).decode()}"

    def within(self, url: str) -> str:
        """The URL with these credentials."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{self.userinfo}@{parts.netloc.rpartition('@')[2]}"))

    @property
    def spellings(self) -> list[str]:
        """What betrays it, in lower case for what is no base64."""
        return [spelling for part in (self.user, *self.ends) for spelling in spellings(part)]


def spellings(part: str) -> list[str]:
    """A text as it is, in hexadecimal digits, and in base64 wherever it begins there."""
    shifted = [base64.b64encode(b"\0" * shift + part.encode()).decode().rstrip("=") for shift in range(3)]
    # The first characters mix with what stands before, and the last with what comes after.
    return [part, part.encode().hex(), *(text[-(-shift * 8 // 6) : -2] for shift, text in enumerate(shifted))]


def leaks(texts: Mapping[str, str], betrayals: Mapping[str, list[str]]) -> list[str]:
    """Where a secret came to light: ``betrayals`` has the spellings of each."""
    return [
        f"{name} in {place}: …{text[max(0, at - 60) : at + 60]!r}…"
        for place, text in texts.items()
        for name, found in betrayals.items()
        for spelling in found
        if (at := text.find(spelling)) >= 0 or (at := text.lower().find(spelling)) >= 0
    ]


class Mood(StrEnum):
    """How a front answers."""

    passing = "passing"
    denying = "denying"
    failing = "failing"
    garbage = "garbage"
    echoing = "echoing"
    redirecting = "redirecting"


class Front:
    """A small proxy before a node, which demands its canary; an async context manager. Tells what it was shown."""

    def __init__(self, node_url: str, canary: Canary) -> None:
        self.mood = Mood.passing
        self.welcomed = 0
        self._node = node_url
        self._canary = canary
        self._port = free_port()
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """As a node's is configured, without credentials."""
        return f"http://127.0.0.1:{self._port}/eureka"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen, at the same port each time."""
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def close(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "")
        if shown != self._canary.basic or self.mood is Mood.denying:
            return web.Response(
                status=401, text=f"who is {shown}?", headers={"WWW-Authenticate": f'Basic realm="{shown}"'}
            )
        self.welcomed += 1
        match self.mood:
            case Mood.failing:
                return web.Response(status=500, text=f"{request.raw_path} {shown} {self._canary.text}")
            case Mood.garbage:
                return web.Response(text=f"<html>{shown} {self._canary.text}</html>", content_type="text/html")
            case Mood.echoing:
                return web.json_response({"instance": shown, "applications": self._canary.text})
            case Mood.redirecting:
                return web.Response(status=302, headers={"Location": self._canary.within(self.url)})
            case _:
                return await self._pass_on(request)

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        url = URL(self._node.removesuffix("/eureka") + request.raw_path, encoded=True)
        headers = {"Accept": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, headers=headers, allow_redirects=False) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


def text_of(message: AbstractIncomingMessage) -> str:
    """Everything of a message: its properties, its headers and its body."""
    facts = (message.info(), message.headers, message.type, message.message_id, message.routing_key)
    return f"{facts} {message.body.decode(errors='replace')}"


@asynccontextmanager
async def tapped(url: str, region: str, texts: Texts) -> AsyncIterator[None]:
    """Copy a region's messages on their way through an exchange, and the whole event log, into the texts."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)

        async def note(message: AbstractIncomingMessage) -> None:
            texts[f"message {len(texts)} by {message.exchange or 'the event log'}"] = text_of(message)
            await message.ack()

        queue = await channel.declare_queue(exclusive=True)
        for exchange, key in (("drain.commands", "#"), ("drain.delay.out", "#"), ("drain.dead", region)):
            await queue.bind(exchange, key)
        await queue.consume(note)
        log = await channel.get_queue("drain.events")
        await log.consume(note, arguments={"x-stream-offset": "first"})
        yield
        await until(lambda: _is_quiet(texts), "no more messages", interval=1)


_sizes: dict[int, int] = {}


def _is_quiet(texts: Texts) -> bool:
    before, _sizes[id(texts)] = _sizes.get(id(texts)), len(texts)
    return before == len(texts)
