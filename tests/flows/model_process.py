"""A registry client as the stock one is: it reports each status, heartbeats, and moves on to the next node.

A real server sees by the dirty timestamp that what it holds is older than what a client says, and has it registered
again. The nodes in memory know no such timestamp, so it is played here: at a heartbeat what is out of date is written
anew, at the node and, when replication gets there, at its peers.

Assumed: of two processes under one id the younger one's registration wins at its next heartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from controller.domain.instances import Instance
from tests.fakes.eureka_node import FakeNode

HEARTBEAT = 30.0


class Process:
    """One process with one registration."""

    def __init__(
        self,
        nodes: Sequence[FakeNode],
        *,
        app: str,
        instance_id: str,
        ip: str,
        host: str,
        port: int,
    ) -> None:
        self.app = app
        self.id = instance_id
        self.ip = ip
        self.host = host
        self.port = port
        self.says = ""
        """STARTING or UP once it has registered."""
        self.alive = False
        self.rival: Process | None = None
        """A younger process under the same id."""
        self._nodes = list(nodes)
        self._registrations: set[datetime] = set()
        self._reported = False
        self._life: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"{self.app}/{self.id} at {self.ip} ({self.says or 'silent'}, {'alive' if self.alive else 'dead'})"

    @property
    def key(self) -> tuple[str, str]:
        """What it is registered under."""
        return self.app, self.id

    def start(self, *, registers_after: float, ready_after: float, node: int = 0) -> None:
        """Begin to live; its first node is this one."""
        self._nodes = self._nodes[node:] + self._nodes[:node]
        self.alive, self.says, self._reported = True, "", False
        self._life = asyncio.create_task(self._live(registers_after, ready_after), name=f"process {self.id}")

    def die(self) -> None:
        """End without a word."""
        self.alive = False
        if self._life is not None:
            self._life.cancel()

    async def shutdown(self) -> None:
        """End in order: deregister, where a node answers."""
        registered = self.alive and bool(self.says)
        self.die()
        node = self._node()
        if registered and node is not None:
            await node.delete(self.app, self.id)

    def is_held_as(self, instance: Instance | None) -> bool:
        """Whether this registration is this process's."""
        return instance is not None and (instance.ip, instance.host_name) == (self.ip, self.host)

    def has_registered(self, instance: Instance) -> bool:
        """Whether this registration, or what it was copied from, was made by this very process."""
        return self.is_held_as(instance) and instance.dirty_at in self._registrations

    def is_out_of_date(self, instance: Instance) -> bool:
        """Whether the dirty timestamp would show that this registration is older than what the process says."""
        if self.rival is not None and self.rival.alive and self.rival.says:
            return False
        stale = {"UP": "STARTING", "STARTING": "UP"}[self.says]
        return not self.is_held_as(instance) or instance.status == stale

    async def _live(self, registers_after: float, ready_after: float) -> None:
        await asyncio.sleep(registers_after)
        now = asyncio.get_running_loop().time
        ready_at, beats_at = now() + ready_after, now() + HEARTBEAT
        await self._say("STARTING")
        while True:
            await asyncio.sleep(max(0.0, (beats_at if self.says == "UP" else min(beats_at, ready_at)) - now()))
            if self.says != "UP" and now() >= ready_at:
                await self._say("UP")
            if now() >= beats_at:
                beats_at += HEARTBEAT
                await self._beat()

    async def _say(self, status: str) -> None:
        self.says, self._reported = status, False
        node = self._node()
        if node is not None:
            await self._register(node)

    async def _beat(self) -> None:
        node = self._node()
        if node is None:
            return
        held = node.held(self.app, self.id)
        if not self._reported or (held is not None and self.is_out_of_date(held)):
            await self._register(node)
        elif await node.heartbeat(self.app, self.id):
            node._send_to_peers(partial(self._repair, node))
        else:
            await self._register(node)

    async def _register(self, node: FakeNode) -> None:
        await node.register(
            self.app, self.id, ip=self.ip, host=self.host, port=self.port, status=self.says, renewal_seconds=30
        )
        self._reported = True
        held = node.held(self.app, self.id)
        assert held is not None
        assert held.dirty_at is not None
        self._registrations.add(held.dirty_at)

    def _repair(self, node: FakeNode, peer: FakeNode) -> None:
        mine, theirs = node.held(self.app, self.id), peer.held(self.app, self.id)
        if mine is not None and theirs is not None and self.is_held_as(mine) and self.is_out_of_date(theirs):
            peer._take(mine, replicated=True)

    def _node(self) -> FakeNode | None:
        """The node it talks to: the next one that answers, and that one from then on."""
        for _ in self._nodes:
            if self._nodes[0].trouble is None:
                return self._nodes[0]
            self._nodes.append(self._nodes.pop(0))
        return None
