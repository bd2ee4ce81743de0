"""The servers that all plans share, and how a plan cleans up after itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import aio_pika

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq


@dataclass(frozen=True)
class Servers:
    """What all plans share."""

    cluster: Cluster
    broker: RabbitMq
    eureka: EurekaNodes


async def messages_in(broker: RabbitMq, queue: str) -> int:
    """Ready messages; none when there is no such queue."""
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0
        return declared.declaration_result.message_count or 0


async def empty_namespace(cluster: Cluster, namespace: str) -> None:
    """Remove it with everything in it, by force."""
    client = cluster.client
    for kind in ("deployments", "statefulsets", "replicasets"):
        for owner in await client.list(kind, namespace):
            await client.delete(kind, owner["metadata"]["name"], namespace)
    for pod in await client.list("pods", namespace):
        await client.delete("pods", pod["metadata"]["name"], namespace, grace_seconds=0)
    await client.delete("namespaces", namespace, None)


async def forget_region(broker: RabbitMq, region: str) -> None:
    """Delete its queues."""
    async with await aio_pika.connect(broker.url) as connection:
        for queue in (f"drain.commands.{region}", f"drain.dead.{region}"):
            channel = await connection.channel()
            with contextlib.suppress(aio_pika.exceptions.AMQPError):
                await channel.queue_delete(queue)
