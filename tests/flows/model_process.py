"""A registry client as the stock one is: it reports each status, heartbeats, and moves on to the next node.

A real server sees by the dirty timestamp that what it holds is older than what a client says, and has it registered
again. The nodes in memory know no such timestamp, so it is played here: at a heartbeat what is out of date is written
anew, at the node and, when replication gets there, at its peers.

ASSUMED: of two processes under one id that is not shared, the younger one's registration wins at its next heartbeat.
On a real server an older one that registers anew after every node was restarted is the newer one, for good: then the id
stands for the wrong process whatever we do, and no model can say what should come of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from controller.domain.evidence import plain_uid
from controller.domain.instances import Instance
from tests.fakes.eureka_node import FakeNode
from tests.fakes.node_trouble import Trouble, UnansweredError
from tests.fakes.virtual_time import virtual_clock

HEARTBEAT = 30.0
SERVES_CLIENTS = (None, Trouble.slow, Trouble.cut_list, Trouble.denying, Trouble.denying_writes)
"""A stock client waits long enough for a slow node, and its calls are not ours."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a process says of itself."""

    app: str
    id: str
    ip: str
    host: str
    port: int = 8080
    pod_uid: str = ""
    """What its metadata state, if they state one."""
    shares_id: bool = False
    """Other processes live under the same id, beside it."""


class Process:
    """One process with one registration."""

    def __init__(
        self, nodes: Sequence[FakeNode], registration: Registration, *, clock_ahead: timedelta = timedelta(0)
    ) -> None:
        self.registration = registration
        self.app, self.id = registration.app, registration.id
        self.ip, self.host, self.port = registration.ip, registration.host, registration.port
        self.says = ""
        """STARTING or UP once it has registered."""
        self.alive = False
        self.rival: Process | None = None
        """A younger process under the same id."""
        self._clock_ahead = clock_ahead
        self._nodes = list(nodes)
        self._registrations: dict[datetime, datetime] = {}
        """When it registered, by the dirty timestamp, which bears its own clock's time."""
        self._dirty_at: datetime | None = None
        self._reported = False
        self._life: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"{self.app}/{self.id} at {self.ip} ({self.says or 'silent'}, {'alive' if self.alive else 'dead'})"

    @property
    def key(self) -> tuple[str, str]:
        """What it is registered under."""
        return self.app, self.id

    @property
    def serves(self) -> bool:
        """Whether it is there for callers."""
        return self.alive and self.says == "UP"

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

    async def shutdown(self) -> bool:
        """End in order: deregister, where a node answers; return whether one did."""
        registered = self.alive and bool(self.says)
        self.die()
        node = self._node()
        if not registered or node is None:
            return False
        await self._ask(node, partial(node.delete, self.app, self.id))
        return True

    def is_held_as(self, instance: Instance | None) -> bool:
        """Whether this registration is this process's."""
        own = (self.ip, self.host, plain_uid(self.registration.pod_uid))
        return instance is not None and (instance.ip, instance.host_name, instance.pod_uid) == own

    def has_registered(self, instance: Instance) -> bool:
        """Whether this registration, or what it was copied from, was made by this very process."""
        return self.registered_at(instance) is not None

    def registered_at(self, instance: Instance) -> datetime | None:
        """When this process made this registration, or what it was copied from; None if another one did."""
        if not self.is_held_as(instance) or instance.dirty_at is None:
            return None
        return self._registrations.get(instance.dirty_at)

    def is_out_of_date(self, instance: Instance) -> bool:
        """Whether the dirty timestamp would show that this registration is older than what the process says."""
        if self.registration.shares_id and not self.is_held_as(instance):
            return self._dirty_at is not None and (instance.dirty_at is None or instance.dirty_at < self._dirty_at)
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
        if self._reported and await self._ask(node, partial(self._renew, node)) is not False:
            return
        await self._register(node)

    async def _renew(self, node: FakeNode) -> bool:
        """The server's side of a heartbeat."""
        held = node.held(self.app, self.id)
        if held is not None and self.is_out_of_date(held):
            return False
        known = await node.heartbeat(self.app, self.id)
        if known:
            node._send_to_peers(partial(self._repair, node))
        return known

    async def _register(self, node: FakeNode) -> None:
        made_at, status = virtual_clock(), self.says
        self._dirty_at = made_at + self._clock_ahead
        self._registrations[self._dirty_at] = made_at
        told, dirty_at = self.registration, self._dirty_at

        async def register() -> bool:
            await node.register(
                told.app,
                told.id,
                ip=told.ip,
                host=told.host,
                port=told.port,
                status=status,
                renewal_seconds=30,
                metadata={"poduid": told.pod_uid} if told.pod_uid else None,
                dirty_at=dirty_at,
            )
            return True

        if await self._ask(node, register):
            self._reported = True

    def _repair(self, node: FakeNode, peer: FakeNode) -> None:
        mine, theirs = node.held(self.app, self.id), peer.held(self.app, self.id)
        if mine is not None and theirs is not None and self.is_held_as(mine) and self.is_out_of_date(theirs):
            peer._take(mine, replicated=True)

    async def _ask(self, node: FakeNode, act: Callable[[], Awaitable[T]]) -> T | None:
        """Let a node do something; None when it went away meanwhile. What a slow one was asked, it does."""
        if node.trouble is not Trouble.slow:
            return await act()
        try:
            return await asyncio.shield(node.late(act))
        except UnansweredError:
            return None

    def _node(self) -> FakeNode | None:
        """The node it talks to: the next one that answers, and that one from then on."""
        for _ in self._nodes:
            if self._nodes[0].trouble in SERVES_CLIENTS:
                return self._nodes[0]
            self._nodes.append(self._nodes.pop(0))
        return None
