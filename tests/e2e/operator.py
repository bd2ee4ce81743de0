"""The person at the terminal: runs commands beside the product, with its settings, and reads their output."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity

from controller.rabbit.delay import LEVELS
from tests.stack.cluster import Cluster
from tests.stack.rabbitmq import RabbitMq

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds, for one command."""


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    status: int
    data: str
    messages: str

    @property
    def rows(self) -> list[str]:
        """The table without its head."""
        return self.data.splitlines()[1:]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """One JSON object a line."""
        return [json.loads(line) for line in self.data.splitlines()]

    def row(self, *words: str) -> str:
        """The only row with all of these words."""
        [found] = [row for row in self.rows if all(word in row for word in words)]
        return found


@dataclass(frozen=True)
class Running:
    """A command under way."""

    process: Process
    said: asyncio.Task[tuple[bytes, bytes]]


class Operator:
    """Somebody with the product's settings."""

    def __init__(
        self,
        cluster: Cluster,
        broker: RabbitMq,
        regions: Mapping[str, Sequence[str]],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EUREKA_DRAIN_", "KUBE"))}
        nodes = {
            f"EUREKA_DRAIN_REGIONS__{region.upper().replace('-', '_')}__NODES": ",".join(urls)
            for region, urls in regions.items()
        }
        self._env = {**kept, **nodes, "KUBECONFIG": str(cluster.kubeconfig), "EUREKA_DRAIN_BROKER__URL": broker.url}
        self._words = [word for name, value in (settings or {}).items() for word in ("--set", f"{name}={value}")]

    async def start(self, *words: str) -> Running:
        """Begin a command. What it says is read at once: a full pipe would hold it up."""
        command = [sys.executable, "-m", "controller", *self._words, *words]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=self._env, stdout=PIPE, stderr=PIPE)
        return Running(process, asyncio.create_task(process.communicate()))

    async def run(self, *words: str, expect: int | None = 0) -> Said:
        """Run a command to its end; it must end with this status and without a traceback."""
        return await self.finish(await self.start(*words), expect=expect)

    async def interrupt(self, running: Running, *, expect: int = 1) -> Said:
        """Press Ctrl-C, and read the rest."""
        running.process.send_signal(signal.SIGINT)
        return await self.finish(running, expect=expect)

    @staticmethod
    async def finish(running: Running, *, expect: int | None = 0) -> Said:
        """Wait for its end; ``expect`` None: it may end as it likes."""
        process = running.process
        try:
            data, messages = await asyncio.wait_for(running.said, PATIENCE)
        except TimeoutError:
            process.kill()
            raise
        assert process.returncode is not None
        said = Said(process.returncode, data.decode(), messages.decode())
        assert "Traceback" not in said.data + said.messages, said.messages
        assert expect in (None, said.status), f"{said.data}\n{said.messages}"
        return said


async def queue_lengths(broker: RabbitMq, regions: Sequence[str]) -> dict[str, int]:
    """The messages of every queue that the product has for these regions."""
    named = [f"drain.{kind}.{region}" for kind in ("commands", "dead") for region in regions]
    lengths: dict[str, int] = {}
    async with await aio_pika.connect(broker.url) as connection:
        for name in (*named, "drain.unrouted", *(f"drain.delay.{level:02}" for level in range(LEVELS))):
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                continue
            lengths[name] = queue.declaration_result.message_count or 0
            await channel.close()
    return lengths
