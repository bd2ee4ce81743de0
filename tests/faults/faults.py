"""What may break: each fault breaks when its context is entered, and is healed when the context ends.

Leaving the context takes as long as healing takes: a server counts as healed when it is ready.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aio_pika

from tests.contract.silly_server import Answer, SillyServer, saying
from tests.faults.scene import Scene

Breaking = Callable[[Scene], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A row of the table. `lasts`: seconds at least between breaking and healing."""

    name: str
    breaking: Breaking
    lasts: float = 0.0
    watches: int = 1
    workers: int = 1


@asynccontextmanager
async def watch_killed(scene: Scene) -> AsyncIterator[None]:
    await scene.fleet.watches[0].kill()
    try:
        yield
    finally:
        await scene.fleet.watches[0].start()


@asynccontextmanager
async def work_killed(scene: Scene) -> AsyncIterator[None]:
    await scene.fleet.workers[0].kill()
    try:
        yield
    finally:
        await scene.fleet.workers[0].start()


@asynccontextmanager
async def watch_frozen(scene: Scene) -> AsyncIterator[None]:
    """And while it sleeps, the history it would go on from is dropped."""
    watch, api = scene.fleet.watches[0], scene.servers.cluster.api
    watch.pause()
    try:
        yield
        await api.compact()
        # Compacting alone makes no watch too old: the API server answers from a cache of its own.
        await api.apiserver.restart()
    finally:
        watch.resume()


@asynccontextmanager
async def rabbitmq_restarted(scene: Scene) -> AsyncIterator[None]:
    await scene.servers.broker.server.stop()
    try:
        yield
    finally:
        await scene.servers.broker.start()


@asynccontextmanager
async def rabbitmq_killed(scene: Scene) -> AsyncIterator[None]:
    await scene.servers.broker.kill()
    try:
        yield
    finally:
        await scene.servers.broker.start()


@asynccontextmanager
async def rabbitmq_frozen(scene: Scene) -> AsyncIterator[None]:
    scene.servers.broker.pause()
    try:
        yield
    finally:
        scene.servers.broker.resume()


@asynccontextmanager
async def rabbitmq_short_of_memory(scene: Scene) -> AsyncIterator[None]:
    await scene.servers.broker.raise_memory_alarm()
    try:
        yield
    finally:
        await scene.servers.broker.clear_memory_alarm()


@asynccontextmanager
async def amqp_half_open(scene: Scene) -> AsyncIterator[None]:
    await scene.servers.network.amqp.hang()
    try:
        yield
    finally:
        await scene.servers.network.amqp.heal()


@asynccontextmanager
async def amqp_reset(scene: Scene) -> AsyncIterator[None]:
    await scene.servers.network.amqp.reset()
    try:
        yield
    finally:
        await scene.servers.network.amqp.heal()


@asynccontextmanager
async def queue_deleted(scene: Scene) -> AsyncIterator[None]:
    """By hand, under its consumer's feet."""
    await _delete_queue(scene)
    yield


@asynccontextmanager
async def queue_missing(scene: Scene) -> AsyncIterator[None]:
    """By hand, while the one that would declare it again sleeps: what is sent meanwhile goes to `drain.unrouted`."""
    worker = scene.fleet.workers[0]
    worker.pause()
    try:
        await _delete_queue(scene)
        yield
    finally:
        worker.resume()


async def _delete_queue(scene: Scene) -> None:
    async with await aio_pika.connect(scene.servers.broker.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(f"drain.commands.{scene.fleet.region}")


@asynccontextmanager
async def apiserver_restarted(scene: Scene) -> AsyncIterator[None]:
    """At once: while it is down, nobody can delete a pod."""
    await scene.servers.cluster.api.apiserver.restart()
    yield


@asynccontextmanager
async def apiserver_half_open(scene: Scene) -> AsyncIterator[None]:
    await scene.servers.network.kube.hang()
    try:
        yield
    finally:
        await scene.servers.network.kube.heal()


def eureka_killed(*numbers: int) -> Breaking:
    """What it held is lost, but for what its peer still knows."""

    @asynccontextmanager
    async def breaking(scene: Scene) -> AsyncIterator[None]:
        nodes = [scene.servers.eureka.nodes[number] for number in numbers]
        for number in numbers:
            scene.sampler.forgets(number)
        await asyncio.gather(*(node.kill() for node in nodes))
        try:
            yield
        finally:
            # Again, for a sample that was under way.
            for number in numbers:
                scene.sampler.forgets(number)
            await asyncio.gather(*(node.start() for node in nodes))

    return breaking


def eureka_frozen(number: int) -> Breaking:
    """Its connections stay open."""

    @asynccontextmanager
    async def breaking(scene: Scene) -> AsyncIterator[None]:
        node = scene.servers.eureka.nodes[number]
        node.pause()
        try:
            yield
        finally:
            node.resume()

    return breaking


def eureka_slow(number: int, milliseconds: int) -> Breaking:
    """To the product only."""

    @asynccontextmanager
    async def breaking(scene: Scene) -> AsyncIterator[None]:
        proxy = scene.servers.network.eureka[number]
        await proxy.slow_down(milliseconds)
        try:
            yield
        finally:
            await proxy.heal()

    return breaking


def eureka_says(number: int, answer: Answer) -> Breaking:
    """To the product only: something else answers in the node's place, on the node's port."""

    @asynccontextmanager
    async def breaking(scene: Scene) -> AsyncIterator[None]:
        proxy = scene.servers.network.eureka[number]
        async with AsyncExitStack() as healing:
            server = await healing.enter_async_context(SillyServer(answer))
            healing.push_async_callback(proxy.heal)
            await proxy.point_to(urlsplit(server.url).port or 0)
            yield

    return breaking


HTML = saying("<html><body><h1>It works!</h1></body></html>", content_type="text/html")
TRUNCATED = saying('{"applications":{"versions__delta":"1","application":[{"name":"SHOP","instance":[{"instanceId":"1')
BUSY = saying("no server is available to handle this request", status=503, content_type="text/plain")

FAULTS = (
    Fault("watch killed", watch_killed, lasts=1),
    Fault("work killed", work_killed, lasts=1),
    Fault("one of two watches killed", watch_killed, lasts=5, watches=2),
    Fault("one of two workers killed", work_killed, lasts=5, watches=2, workers=2),
    Fault("watch frozen, etcd compacted", watch_frozen, lasts=2),
    Fault("RabbitMQ restarted", rabbitmq_restarted),
    Fault("RabbitMQ killed", rabbitmq_killed, lasts=5),
    Fault("RabbitMQ frozen for 20 s", rabbitmq_frozen, lasts=20),
    Fault("RabbitMQ short of memory", rabbitmq_short_of_memory, lasts=8),
    Fault("AMQP half-open for 20 s", amqp_half_open, lasts=20),
    Fault("AMQP reset", amqp_reset, lasts=2),
    Fault("command queue deleted", queue_deleted),
    Fault("command queue missing for 3 s", queue_missing, lasts=3),
    Fault("kube-apiserver restarted", apiserver_restarted),
    Fault("kube-apiserver half-open for 20 s", apiserver_half_open, lasts=20),
    Fault("one Eureka node killed", eureka_killed(0), lasts=3),
    Fault("both Eureka nodes killed", eureka_killed(0, 1), lasts=2),
    Fault("one Eureka node frozen for 20 s", eureka_frozen(1), lasts=20),
    Fault("one Eureka node says 503", eureka_says(1, BUSY), lasts=8),
    Fault("one Eureka node is 2 s slow", eureka_slow(1, 2_000), lasts=8),
    Fault("one Eureka node says HTML, 200", eureka_says(1, HTML), lasts=8),
    Fault("one Eureka node says half a JSON", eureka_says(1, TRUNCATED), lasts=8),
)
