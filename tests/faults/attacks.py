"""What somebody who may do one thing only can try: each attack is one round, against processes that go on working.

An attacker here may create pods in one namespace, or holds one queue right, or owns one Eureka node, or reaches the
HTTP port. None of them may be able to end a process, to blind it, or to make it forget.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import socket
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import aio_pika
import aiohttp
from aiohttp import web

from tests.stack.cluster import Cluster
from tests.stack.workloads import container, pod, pod_spec

HELD_FOR = 3.0
"""Seconds that a round keeps what it has begun."""
WORDS = 650_000
"""Empty strings in one command: more make an object that etcd refuses."""
HOSTILE_REGION = "hostile"
BOMB_INSTANCES = 100_000
LETTER_SIZE = 8 * 1024 * 1024
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True)
class Aim:
    """What is attacked."""

    cluster: Cluster
    namespace: str
    broker_url: str
    region: str
    urls: Sequence[str]
    """Of every process."""
    ops_url: str
    viewer_token: str


async def huge_hooks(aim: Aim) -> None:
    """Pods whose preStop command has hundreds of thousands of words, created and deleted."""
    hook = {"preStop": {"exec": {"command": ["sleep", *[""] * WORDS]}}}
    await _short_lived(aim, pod(f"hook-{secrets.token_hex(4)}", pod_spec(container(lifecycle=hook))))


async def many_regions(aim: Aim) -> None:
    """A pod that asks to be drained in hundreds of regions."""
    regions = ",".join(f"nowhere-{number}" for number in range(353))
    name = f"regions-{secrets.token_hex(4)}"
    await _short_lived(aim, pod(name, pod_spec(container()), annotations={"eureka.drain/region": regions}))


async def drains_at_the_hostile_node(aim: Aim) -> None:
    """A pod whose drain has to read the hostile node's list."""
    name = f"hostile-{secrets.token_hex(4)}"
    await _short_lived(aim, pod(name, pod_spec(container()), annotations={"eureka.drain/region": HOSTILE_REGION}))


async def unfinished_headers(aim: Aim) -> None:
    """Connections that send megabytes of a header and never end it."""
    begun = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * (2 * 1024 * 1024)
    await _hold_connections(aim, begun, each=45)


async def silent_connections(aim: Aim) -> None:
    """Connections that say nothing at all."""
    await _hold_connections(aim, b"", each=150)


async def slow_readers(aim: Aim) -> None:
    """Clients that ask for much, again and again, and read nothing."""
    request = f"GET /metrics HTTP/1.1\r\nHost: {_host(aim.ops_url)}\r\n\r\n".encode() * 50
    await _hold_connections(aim, request, each=15)


async def deaf_listeners(aim: Aim) -> None:
    """Listeners to the stream of events that read nothing."""
    head = f"Host: {_host(aim.ops_url)}\r\nAuthorization: Bearer {aim.viewer_token}\r\n\r\n"
    await _hold_connections(aim, f"GET /api/v1/events HTTP/1.1\r\n{head}".encode(), each=40, urls=[aim.ops_url])


async def invented_tokens(aim: Aim) -> None:
    """Requests with tokens that nobody was given."""

    async def ask(session: aiohttp.ClientSession) -> None:
        with suppress(*UNREACHABLE):
            headers = {"Authorization": f"Bearer {secrets.token_hex(16)}"}
            async with session.get(f"{aim.ops_url}/api/v1/drains", headers=headers) as answer:
                await answer.read()

    await _ask_together(ask, count=300)


async def expensive_questions(aim: Aim) -> None:
    """Questions that the whole log has to be read for."""
    headers = {"Authorization": f"Bearer {aim.viewer_token}"}

    async def ask(session: aiohttp.ClientSession) -> None:
        for path in (f"/api/v1/drains/{secrets.token_hex(8)}", "/api/v1/drains?since=30d"):
            with suppress(*UNREACHABLE):
                async with session.get(aim.ops_url + path, headers=headers) as answer:
                    await answer.read()

    await _ask_together(ask, count=15)


async def huge_dead_letters(aim: Aim) -> None:
    """Dead letters of megabytes, while somebody looks at them."""
    headers = {"Authorization": f"Bearer {aim.viewer_token}"}
    async with await aio_pika.connect(aim.broker_url) as connection:
        channel = await connection.channel()
        for _ in range(4):
            letter = aio_pika.Message(b'{"version":1,"x":"' + b"x" * LETTER_SIZE + b'"}', message_id="\x1b[2Jforeign")
            await channel.default_exchange.publish(letter, f"drain.dead.{aim.region}")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            for _ in range(3):
                with suppress(*UNREACHABLE):
                    async with session.get(f"{aim.ops_url}/api/v1/dead", headers=headers) as answer:
                        await answer.read()
        queue = await channel.get_queue(f"drain.dead.{aim.region}", ensure=False)
        await queue.purge()


async def huge_commands(aim: Aim) -> None:
    """Messages in a region's queue that are far too large, or nothing that anybody understands."""
    async with await aio_pika.connect(aim.broker_url) as connection:
        channel = await connection.channel()
        for body in (b"x" * LETTER_SIZE, b"[" * 200_000, b'{"version":1}', secrets.token_bytes(2_000)):
            await channel.default_exchange.publish(aio_pika.Message(body), f"drain.commands.{aim.region}")


ATTACKS: Sequence[Callable[[Aim], Awaitable[None]]] = (
    huge_hooks,
    many_regions,
    drains_at_the_hostile_node,
    unfinished_headers,
    silent_connections,
    slow_readers,
    deaf_listeners,
    invented_tokens,
    expensive_questions,
    huge_dead_letters,
    huge_commands,
)


def hostile_node() -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer for a Eureka node whose every list is a few hundred kilobytes that unpack to tens of megabytes."""
    instance = {"app": "X", "instanceId": "x", "hostName": "h", "ipAddr": "10.0.0.1", "status": "UP", "metadata": {}}
    everything = {"applications": {"application": [{"name": "X", "instance": [instance] * BOMB_INSTANCES}]}}
    packed = gzip.compress(json.dumps(everything).encode(), 6)

    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=packed, headers=headers)

    return answer


async def _short_lived(aim: Aim, made: dict[str, object]) -> None:
    name = made["metadata"]["name"]  # type: ignore[index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the client: the body is large, that is its purpose
        await aim.cluster.client.create("pods", made, aim.namespace)
    await asyncio.sleep(1)
    await aim.cluster.client.delete("pods", name, aim.namespace, grace_seconds=0)


async def _hold_connections(aim: Aim, request: bytes, *, each: int, urls: Sequence[str] | None = None) -> None:
    """Open so many to each process, send, read nothing, and let go after a while."""
    loop, held = asyncio.get_running_loop(), []

    async def send(connection: socket.socket) -> None:
        with suppress(OSError):
            await loop.sock_sendall(connection, request)

    try:
        for url in urls or aim.urls:
            for _ in range(each):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setblocking(False)
                held.append(connection)
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(1):
                        await loop.sock_connect(connection, (urlsplit(url).hostname, urlsplit(url).port))
        sending = [asyncio.create_task(send(connection)) for connection in held]
        await asyncio.wait(sending, timeout=HELD_FOR)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    finally:
        for connection in held:
            connection.close()


async def _ask_together(ask: Callable[[aiohttp.ClientSession], Awaitable[None]], *, count: int) -> None:
    connector, timeout = aiohttp.TCPConnector(limit=50), aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(ask(session) for _ in range(count)))


def _host(url: str) -> str:
    return urlsplit(url).netloc
