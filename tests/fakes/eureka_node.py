"""One Eureka server in memory, with the rules by which the real one keeps overrides, leases and a response cache.

Traps that it has in common with the real one: an override is stored only when it changes the status; it is kept by id
alone and outlives the registration; a status PUT renews the lease; after any renewal the shown renewal time lies 90 s
in the future; a replicated heartbeat brings a deleted instance back, and a newer registration.

Not like the real one: leases never end (self-preservation); what a peer misses while it is away is not sent again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.instances import OUT_OF_SERVICE, Instance
from controller.eureka.registry_decoder import pod_uid_of
from controller.flows.ports import Clock
from tests.fakes.node_trouble import DEAF, Trouble, TroubledNode

UNKNOWN = "UNKNOWN"
LEASE = timedelta(seconds=90)
Key = tuple[str, str]


class FakeNode(TroubledNode):
    """One node. Its asynchronous methods are what clients of the registry call, as tests.stack has them for real."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url)
        self.peers: list[FakeNode] = []
        self.replication: timedelta | None = timedelta(seconds=0.7)
        """How long a change takes to the peers; None: it never gets there."""
        self.cache_age = timedelta(seconds=30)
        self.clock_ahead = timedelta(0)
        """How far its clock is ahead of ours; what the controller makes of that, its instances already show."""
        self.clock_error = timedelta(0)
        """How much further ahead it is than the controller takes it to be: whole seconds are all that it sees."""
        self._clock = clock
        self._held: dict[Key, Instance] = {}
        self.overrides: dict[str, str] = {}
        self._told: defaultdict[str, deque[Callable[[FakeNode], object]]] = defaultdict(deque)
        self._cached: tuple[Instance, ...] = ()
        self._cached_at: datetime | None = None

    @property
    def registry(self) -> FakeNode:
        """The node's client."""
        return self

    async def start(self) -> None:
        """Mend it; it copies what a peer holds, as a real one does when it starts."""
        self.trouble = None
        if self._held:
            return
        for peer in self.peers:
            if peer.trouble is None:
                for instance in peer._held.values():
                    self._take(instance, replicated=True)
                return

    async def kill(self) -> None:
        """Memory is lost."""
        self.trouble = Trouble.down
        self._work_off()
        self._held.clear()
        self.overrides.clear()

    async def register(
        self,
        app: str,
        instance_id: str,
        *,
        ip: str,
        host: str | None = None,
        port: int = 8080,
        secure_port: int = 0,
        status: str = "UP",
        renewal_seconds: int = 30,
        metadata: dict[str, str] | None = None,
        dirty_at: datetime | None = None,
        alone: bool = False,
    ) -> None:
        """Register, or register again, as a client library does; ``dirty_at`` is now, unless the client says else."""
        self._take(
            Instance(
                app=app.upper(),
                id=instance_id,
                ip=ip,
                host_name=host or ip,
                port=port,
                secure_port=secure_port,
                pod_uid=pod_uid_of(metadata),
                status=status,
                dirty_at=dirty_at or self._clock(),
                renewal_interval=timedelta(seconds=renewal_seconds),
            )
        )
        if not alone:
            self._send_to_peers(self._bring((app.upper(), instance_id)))

    async def heartbeat(self, app: str, instance_id: str) -> bool:
        """False means: the node does not know it, register again."""
        key = (app.upper(), instance_id)
        known = self._renew(key)
        if known:
            bring, dirty_at = self._bring(key), self._held[key].dirty_at
            self._send_to_peers(lambda peer: (peer._renew(key) and not peer._is_older(key, dirty_at)) or bring(peer))
        return known

    async def put_status(self, app: str, instance_id: str, status: str) -> bool:
        """Set an override; False when the instance is absent."""
        key = (app.upper(), instance_id)
        known = self._override(key, status)
        if known:
            self._send_to_peers(lambda peer: peer._override(key, status))
        return known

    async def delete(self, app: str, instance_id: str) -> bool:
        """Deregister; False when it was absent. The override goes in either case."""
        key = (app.upper(), instance_id)
        known = self._cancel(key)
        if known:
            self._send_to_peers(lambda peer: peer._cancel(key))
        return known

    async def delete_status(self, app: str, instance_id: str, status: str | None = None) -> bool:
        """Remove the override, optionally saying the status to show until the next heartbeat."""
        key = (app.upper(), instance_id)
        known = self._lift(key, status or UNKNOWN)
        if known:
            self._send_to_peers(lambda peer: peer._lift(key, status or UNKNOWN))
        return known

    def held(self, app: str, instance_id: str) -> Instance | None:
        """What it holds, for tests to look at."""
        return self._held.get((app.upper(), instance_id))

    def hold(self, instance: Instance) -> None:
        """Hold exactly this instance, as if its whole past had happened; the peers do not learn of it."""
        if instance.override != UNKNOWN:
            self.overrides[instance.id] = instance.override
        self._held[instance.app, instance.id] = instance

    def by_id(self, instance_id: str) -> Instance | None:
        """The first registration of this id, in whichever app."""
        return next((instance for instance in self._held.values() if instance.id == instance_id), None)

    def cached(self) -> tuple[Instance, ...]:
        """Everything, as the response cache has it."""
        now = self._clock()
        if self._cached_at is None or now - self._cached_at >= self.cache_age:
            self._cached, self._cached_at = tuple(self._held.values()), now
        return self._cached

    def _take(self, instance: Instance, *, replicated: bool = False) -> None:
        key = (instance.app, instance.id)
        if instance.override != UNKNOWN:
            self.overrides.setdefault(instance.id, instance.override)
        now = self._clock()
        self._held[key] = replace(
            instance,
            status=self._shown(instance, None if replicated else self._held.get(key)),
            override=self.overrides.get(instance.id, UNKNOWN),
            registered_at=now + self.clock_error,
            updated_at=now + self.clock_error,
            clock_ahead=self.clock_ahead,
            renewed_at=now + self.clock_error + self.clock_ahead,
        )

    def _shown(self, instance: Instance, existing: Instance | None) -> str:
        """Which status wins: what is neither UP nor OUT_OF_SERVICE, then the override, then the one shown so far."""
        if instance.status not in ("UP", OUT_OF_SERVICE):
            return instance.status
        if instance.id in self.overrides:
            return self.overrides[instance.id]
        if existing is not None and existing.status in ("UP", OUT_OF_SERVICE):
            return existing.status
        return instance.status

    def _renew(self, key: Key) -> bool:
        instance = self._held.get(key)
        if instance is None or instance.status == UNKNOWN:
            return False
        self._held[key] = replace(instance, status=self._shown(instance, instance), renewed_at=self._renewed_at())
        return True

    def _is_older(self, key: Key, dirty_at: datetime | None) -> bool:
        """Whether a peer's heartbeat shows that this node has missed a registration."""
        held = self._held.get(key)
        return held is not None and held.dirty_at is not None and dirty_at is not None and held.dirty_at < dirty_at

    def _override(self, key: Key, status: str) -> bool:
        instance = self._held.get(key)
        if instance is None:
            return False
        if instance.status != status:
            self.overrides[key[1]] = status
            instance = replace(instance, status=status, override=status, updated_at=self._clock())
        self._held[key] = replace(instance, renewed_at=self._renewed_at())
        return True

    def _renewed_at(self) -> datetime:
        return self._clock() + self.clock_error + self.clock_ahead + LEASE

    def _lift(self, key: Key, status: str) -> bool:
        instance = self._held.get(key)
        if instance is None:
            return False
        if self.overrides.pop(key[1], None) is not None:
            self._held[key] = replace(instance, status=status, override=UNKNOWN, updated_at=self._clock())
        return True

    def _cancel(self, key: Key) -> bool:
        self.overrides.pop(key[1], None)
        return self._held.pop(key, None) is not None

    def _bring(self, key: Key) -> Callable[[FakeNode], object]:
        """What a peer is told that does not know an instance: the whole of it, as it is held here by then."""

        def act(peer: FakeNode) -> None:
            if key in self._held:
                peer._take(self._held[key], replicated=True)

        return act

    def _send_to_peers(self, act: Callable[[FakeNode], object]) -> None:
        if self.replication is None:
            return
        for peer in self.peers:
            # Timers of the same moment may fire in any order; what is told must arrive in its order.
            self._told[peer.url].append(act)
            asyncio.get_running_loop().call_later(self.replication.total_seconds(), self._deliver, peer)

    def _deliver(self, peer: FakeNode) -> None:
        act = self._told[peer.url].popleft()
        if peer.trouble not in DEAF:
            act(peer)
