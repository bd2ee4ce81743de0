"""One id that goes from a drained pod to a new one: both pods, their clients, and what nodes show of the id.

Order of events: the old pod registers and is UP at both nodes; it is deleted, is out of service at both, ends, and its
object goes; a new pod comes, registers as STARTING and then as UP. From the old one's deletion on the id is sampled at
every node, straight from the registry.
"""

import asyncio
import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from tests.faults.street import LOOK_TIMEOUT, Sample, Street, changes
from tests.stack.eureka_client import Client, Registration
from tests.stack.pod_process import PodProcess
from tests.stack.waiting import until

RETENTION = 3.0
QUICK, STOCK = 1, 30
"""Seconds between two heartbeats."""
SAMPLE_INTERVAL = 0.3
LOOKS = 10.0
"""Seconds that the worker may take between two looks, and 5 for its first one."""
STARTS_FOR = 1.0
"""Seconds that a container and its process need at least. The API's times are whole ones."""
LOOKED_FOR = 36.0
"""Seconds from a pod's end for which its instances are looked for."""


class Kind(StrEnum):
    """How the new pod comes by the old one's id."""

    stateful = "same name, id {name}:app:8080"
    reused_ip = "same IP, id {ip}:app:8080"
    fixed = "fixed id, other name and IP"
    host_network = "hostNetwork, id {node}:app:port"
    unregistered = "same IP, the old one never registered"
    deregistered = "same IP, the old one deregistered"

    @property
    def reuses_ip(self) -> bool:
        """Whether the new pod has the old one's address."""
        return self in (Kind.reused_ip, Kind.unregistered, Kind.deregistered)

    @property
    def leaves_override(self) -> bool:
        """Whether the id bears the old one's override when the new one comes."""
        return self not in (Kind.unregistered, Kind.deregistered)


@dataclass(eq=False)
class Takeover:
    """One id, its old pod and its new one. All times by time.monotonic()."""

    street: Street
    kind: Kind
    tag: str
    renewal_seconds: int
    dice: random.Random
    number: int = 0
    retention: float = RETENTION
    sample_interval: float = SAMPLE_INTERVAL
    samples: list[Sample] = field(default_factory=list)
    begun_at: float | None = None
    """When the old one registered."""
    out_at: float | None = None
    """When the old one was out of service at every node."""
    ended_at: float | None = None
    """When the old one's heartbeats had ended."""
    up_at: float | None = None
    """When the new one began to register as UP."""
    troubles: list[str] = field(default_factory=list)
    old: Client | None = None
    new: Client | None = None
    old_pod: PodProcess | None = None
    new_pod: PodProcess | None = None
    _sampling: asyncio.Task[None] | None = None

    @property
    def app(self) -> str:
        return f"app-{self.tag}"

    @property
    def name(self) -> str:
        """The old pod's."""
        return self._name_of("old")

    @property
    def instance_id(self) -> str:
        assert self.old is not None
        return self.old.registration.instance_id

    def _name_of(self, which: str) -> str:
        match self.kind:
            case Kind.stateful:
                return f"{self.tag}-0"
            case Kind.host_network:
                # A DaemonSet's pods: what they share, and what Kubernetes draws for each.
                return f"{self.tag}-{'bcdfg' if which == 'old' else 'wxz24'}"
            case _:
                return f"{self.tag}-{which}"

    @property
    def prefers_ip(self) -> bool:
        """Whether the app registers its address as its host name, too."""
        return self.number // len(Kind) % 3 == 1

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.tag} ({self.kind}, heartbeats every {self.renewal_seconds} s)"

    @property
    def port(self) -> int:
        return 9000 + self.number if self.kind is Kind.host_network else 8080

    @property
    def retained_until(self) -> float:
        """When nothing of the old one's drain is under way any more, whatever came of it."""
        assert self.ended_at is not None
        retained = LOOKS + self.renewal_seconds + 5 + self.retention
        return self.ended_at + (retained if self.kind.leaves_override else max(retained, LOOKED_FOR))

    async def begin(self) -> None:
        """The old pod runs, and is UP at every node, or is not registered."""
        self.old_pod = await self._new_pod(self.name)
        self.old = self._client_of(self.old_pod)
        self.begun_at = time.monotonic()
        if self.kind is not Kind.unregistered:
            await self.old.say("UP")
            await self.wait_for("UP")

    async def drain(self, *, outright: bool) -> None:
        """The old pod is deleted, is out of service at every node, ends, and its object goes."""
        assert self.old_pod is not None
        assert self.old is not None
        self._sampling = asyncio.create_task(self._sample())
        timeline = self.old_pod.timeline
        # A process that is killed does not deregister.
        await self.delete(self.old_pod, self.old, outright=outright and self.kind is not Kind.deregistered)
        if self.kind is not Kind.unregistered:
            await until(self._is_out, f"{self.label} out of service at every node", timeout=30)
        if self.kind is Kind.deregistered:
            await self.wait_for("absent")  # nor is its override anywhere
        await until(lambda: timeline.deleted_at, f"the object of {self.label} gone")

    async def delete(self, one: PodProcess, client: Client, *, outright: bool) -> None:
        """Delete a pod, whose process ends at once or after its preStop; returns at that end."""
        await self.street.cluster.client.delete(
            "pods", one.timeline.name, self.street.namespace, grace_seconds=0 if outright else None
        )
        if not outright:
            await until(lambda: one.timeline.exited_at, f"{one.timeline.name} ended")
        await (client.deregister() if self.kind is Kind.deregistered else client.end())
        self.ended_at = time.monotonic()

    async def succeed(self, node: int | None = None) -> None:
        """The new pod runs, and registers as STARTING."""
        assert self.old_pod is not None
        self.new_pod = await self._new_pod(self._name_of("new"), ip=self.old_pod.ip if self.kind.reuses_ip else "")
        await asyncio.sleep(self.dice.uniform(STARTS_FOR, 2))
        self.new = self._client_of(self.new_pod, node)
        await self.new.say("STARTING")

    async def be_up(self) -> None:
        """The new one registers as UP."""
        assert self.new is not None
        self.up_at = time.monotonic()
        await self.new.say("UP")

    async def stop(self) -> None:
        """No more samples."""
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)

    async def wait_for(self, shown: str, *, timeout: float = 30) -> None:
        """Every node shows exactly this."""

        async def look() -> bool:
            sample = await self.street.look(self.app, self.instance_id)
            return all(one == shown for one in sample.seen)

        await until(look, f"{self.label} {shown} at every node", timeout=timeout)

    def serves(self, since: float) -> bool:
        """Whether it has been seen serving at every node after that time."""
        return any(sample.serves for sample in reversed(self.samples) if sample.at >= since)

    def seconds(self, since: float | None = None, *, for_good: bool = False) -> float | None:
        """From a moment (its UP registration) until it was seen serving at every node, first or for good; None: never.

        Serving for good begins after the last sample that shows otherwise.
        """
        begin = self.up_at if since is None else since
        if begin is None or self.up_at is None:
            return None
        after = max([self.up_at, *(sample.at for sample in self.samples if for_good and sample.spoiled)])
        first = next((sample.at for sample in self.samples if sample.at >= after and sample.serves), None)
        return None if first is None else max(0.0, first - begin)

    def lost(self, settled_at: float = 0.0, restarted: Collection[int] = ()) -> list[str]:
        """What was seen of a dead process that served.

        A node that restarts copies its peer's answer to callers, which is up to 30 s old: until `settled_at` it may
        show what was UP then, since the drain has not looked again.
        """
        up_at = float("inf") if self.up_at is None else self.up_at
        if self.out_at is None:
            return []
        dead = [
            one
            for one in self.samples
            if self.out_at < one.at < up_at - LOOK_TIMEOUT
            and (one if one.at > settled_at else one.without(restarted)).served
        ]
        if not dead:
            return []
        who = "nobody" if self.new is None else "the new one"
        return [f"{self.label} served {len(dead)} times while {who} had not said UP: {self._text(dead)}"]

    def known_at(self, since: float) -> float | None:
        """When every node had heard of the new one, at that time or later; before, there is nothing to give back."""
        return next((one.at for one in self.samples if one.at >= since and not {None, "absent"} & {*one.seen}), None)

    def harm(self, settled_at: float = 0.0, *, may_be_out: bool = True) -> list[str]:
        """What was seen of the new process that stopped serving, or was out although it may never be.

        Until `settled_at` the nodes may still replicate what is over.
        """
        if self.up_at is None:
            return []
        if not may_be_out and (held := self.held()):
            return [f"{self.label} was out, {len(held)} samples: {self._text(held)}; {self.record()}"]
        serving = next((one.at for one in self.samples if one.at >= self.up_at and one.serves), None)
        if serving is None:
            return []
        spoiled = [one for one in self.samples if one.at > max(serving, settled_at) and one.spoiled]
        if not spoiled:
            return []
        return [f"{self.label} stopped serving, {len(spoiled)} samples: {self._text(spoiled)}; {self.record()}"]

    def held(self) -> list[Sample]:
        """What was seen of the new process that was out of service at a node, although it had said UP."""
        return [one for one in self.samples if self.up_at is not None and one.at >= self.up_at and one.is_held]

    def record(self) -> str:
        """What was shown, each change once, with the seconds since the new one said UP."""
        return changes(self.samples, self.up_at or self.out_at or self.begun_at or 0.0)

    def _text(self, samples: Sequence[Sample]) -> str:
        begin = self.up_at or self.out_at or 0.0
        first, last = samples[0], samples[-1]
        return f"{first.at - begin:+.1f} s {list(first.seen)} to {last.at - begin:+.1f} s {list(last.seen)}"

    def _is_out(self) -> bool:
        if not self.samples or not self.samples[-1].is_out:
            return False
        self.out_at = self.samples[-1].at
        return True

    async def _sample(self) -> None:
        while True:
            sample = await self.street.look(self.app, self.instance_id)
            self.samples.append(sample)
            await asyncio.sleep(max(0.02, self.sample_interval - (time.monotonic() - sample.at)))

    async def _new_pod(self, name: str, *, ip: str = "") -> PodProcess:
        annotations = {"eureka.drain/app": self.app, "eureka.drain/retention": f"{self.retention:.0f}s"}
        if self.kind is Kind.fixed:
            annotations["eureka.drain/instance-id"] = f"app-fixed-{self.tag}"
        return await self.street.pod(
            name, annotations, ip=ip, port=self.port, host_network=self.kind is Kind.host_network
        )

    def _client_of(self, one: PodProcess, node: int | None = None) -> Client:
        host, port = one.timeline.name, self.port
        match self.kind:
            case Kind.stateful:
                instance_id = f"{host}:{self.app}:{port}"
                host = one.ip if self.prefers_ip else host
            case Kind.reused_ip | Kind.unregistered | Kind.deregistered:
                instance_id = f"{one.ip}:{self.app}:{port}"
                host = one.ip
            case Kind.fixed:
                instance_id = f"app-fixed-{self.tag}"
                host = one.ip if self.prefers_ip else host
            case Kind.host_network:
                host = self.street.cluster.node.name
                instance_id = f"{host}:{self.app}:{port}"
            case _:
                assert_never(self.kind)
        registration = Registration(self.app, instance_id, one.ip, host, port, self.renewal_seconds)
        return self.street.client(registration, self.dice.randrange(2) if node is None else node)
