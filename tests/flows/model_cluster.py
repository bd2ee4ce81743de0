"""The model's cluster, and the processes beside it: which pods live, what ends them, and what the API server says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.errors import KubernetesError
from controller.flows.ports import Removed
from tests.fakes.eureka_node import FakeNode
from tests.flows.model_broker import ModelFeed
from tests.flows.model_kinds import (
    UNWATCHED,
    Ending,
    Kind,
    Member,
    StatedUid,
    Stranger,
    StrangerKind,
    name_of,
    node_of,
    port_of,
    registration_of,
    stranger_registration,
)
from tests.flows.model_process import Process
from tests.unit.building import NOON

MOMENT = 0.01
REMEMBERED = timedelta(minutes=5)
"""How long the API server remembers a removal."""


class ModelCluster:
    """Everything that Kubernetes does. Times of the API are the cluster's, which may be ahead of everybody else's."""

    def __init__(self, nodes: list[FakeNode]) -> None:
        self.nodes = nodes
        self.members: list[Member] = []
        self.strangers: list[Stranger] = []
        self.ahead = timedelta(0)
        """How far the cluster's clock is ahead of the controller's."""
        self.machines_ahead = timedelta(0)
        """The same for the clocks of the machines, which their kubelets and processes have."""
        self.connected = True
        self.is_calm = True
        """Nothing has kept the controller from knowing what happens since everything was repaired."""
        self.version = 0
        self.current_feed: Callable[[], ModelFeed | None] = lambda: None
        """The feed of a watch that is up."""
        self.when_id_is_used_again: Callable[[tuple[str, str]], None] = lambda _: None
        self.when_deregistered: Callable[[tuple[str, str]], None] = lambda _: None
        self._removals: list[tuple[int, datetime, Member]] = []
        self._addresses = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """End every process."""
        for one in self.everybody:
            one.process.die()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def now(self) -> datetime:
        """The loop's time, running or not."""
        return NOON + timedelta(seconds=self._loop.time())

    def api_time(self) -> datetime:
        """What the API server takes for now: its times are whole seconds."""
        return (self.now() + self.ahead).replace(microsecond=0)

    def kubelets_time(self) -> datetime:
        """What a node takes for now, and its processes."""
        return (self.now() + self.machines_ahead).replace(microsecond=0)

    async def read_date(self) -> datetime:
        """The API server's ``Date``."""
        return self.api_time()

    # Who there is.

    @property
    def living(self) -> list[Member]:
        return [member for member in self.members if member.lives]

    @property
    def objects(self) -> list[Member]:
        """Pods that the API server still holds."""
        return [member for member in self.members if member.exists]

    @property
    def everybody(self) -> list[Member | Stranger]:
        """Whoever has a process."""
        return [*self.members, *self.strangers]

    def under(self, key: tuple[str, str]) -> list[Member]:
        """Every pod whose process registers under this app and id."""
        return [member for member in self.members if member.process.key == key]

    def free_addresses(self) -> list[str]:
        """Addresses that were a pod's, whose process has ended too."""
        held = {member.pod.ip for member in self.members if member.lives or member.process.alive}
        held |= {member.pod.ip for member in self.objects if not member.pod.finished}
        held |= {one.process.ip for one in self.strangers if one.process.alive}
        return sorted({member.pod.ip for member in self.members if not member.pod.host_network} - held)

    def may_appear(self, kind: Kind, slot: int) -> bool:
        """Whether Kubernetes would let such a pod come up now."""
        match kind:
            case Kind.stateful | Kind.stateful_by_address:
                name = name_of(kind, slot, 0)
                return all(member.pod.name != name for member in self.objects)
            case Kind.fixed_id:
                return not any(member.kind is kind and member.lives for member in self.members)
            case Kind.host_network:
                place = node_of(slot), port_of(slot)
                there = [one for one in self.members if (one.pod.node, one.process.port) == place]
                return not any(
                    one.kind is kind and ((one.exists and not one.pod.finished) or one.process.alive) for one in there
                )
            case _:
                return True

    # What happens.

    async def appear(
        self,
        kind: Kind,
        *,
        slot: int = 0,
        address: str = "",
        registers: float = 2,
        ready: float = 5,
        node: int = 0,
        stated_uid: StatedUid = StatedUid.none,
    ) -> Member:
        """A pod comes up; its process registers after so many seconds, and says UP so many later."""
        number = len(self.members)
        host_network = kind is Kind.host_network
        if host_network:
            address = f"10.0.0.{slot % 2 + 1}"
        elif not address:
            self._addresses += 1
            address = f"10.1.{self._addresses // 200}.{self._addresses % 200 + 1}"
        registration = registration_of(
            kind, slot=slot, number=number, address=address, uid=f"uid-{number}", stated_uid=stated_uid
        )
        name = name_of(kind, slot, number)
        pod = Pod(
            namespace="shop",
            name=name,
            uid=f"uid-{number}",
            ip=address,
            hostname="" if host_network else name,
            node=node_of(slot),
            host_network=host_network,
            ports=(registration.port,),
            phase="Running",
            created_at=self.api_time(),
        )
        process = Process(self.nodes, registration, clock_ahead=self.machines_ahead)
        self._becomes_rival(process)
        member = Member(pod=pod, kind=kind, slot=slot, process=process, stated_uid=stated_uid)
        self.members.append(member)
        process.start(registers_after=registers, ready_after=ready, node=node % len(self.nodes))
        await self.deliver(member)
        return member

    def may_stand_beside(self, kind: StrangerKind, member: Member) -> bool:
        """Whether such a stranger can be there: under an id that nobody has, and an address that it can have."""
        registration = stranger_registration(kind, member.process.registration, len(self.strangers))
        key = registration.app, registration.id
        if any(one.process.key == key and one.process.alive for one in self.everybody):
            return False
        if kind in UNWATCHED:
            return member.pod.ip in self.free_addresses()
        if kind is StrangerKind.with_its_host_name:
            return member.kind is Kind.stateful  # nobody else has a generated name
        return member.kind in (Kind.named, Kind.by_address, Kind.stateful, Kind.stateful_by_address, Kind.random_id)

    async def stranger_appears(
        self, kind: StrangerKind, member: Member, *, registers: float = 5, ready: float = 5, node: int = 0
    ) -> Stranger:
        """A process comes up that the watch knows nothing of, and that looks like this pod's in part."""
        registration = stranger_registration(kind, member.process.registration, len(self.strangers))
        process = Process(self.nodes, registration, clock_ahead=self.machines_ahead)
        self._becomes_rival(process)
        never_out = kind not in UNWATCHED or (self.is_calm and kind is not StrangerKind.unwatched_successor)
        stranger = Stranger(kind=kind, process=process, never_out=never_out)
        self.strangers.append(stranger)
        process.start(registers_after=registers, ready_after=ready, node=node % len(self.nodes))
        await asyncio.sleep(MOMENT)
        return stranger

    async def stranger_dies(self, stranger: Stranger) -> None:
        """It ends, without a word."""
        stranger.process.die()
        await asyncio.sleep(MOMENT)

    async def terminate(self, member: Member, *, grace: int, lasts: float, ending: Ending) -> None:
        """Its deletion is asked for; the process ends after so many seconds, at the latest with the grace period."""
        deletion_at = self.api_time() + timedelta(seconds=grace)
        member.pod = replace(member.pod, deletion_at=deletion_at, grace_seconds=grace)
        _end_tasks(member)
        self.go_on(self._end(member, min(lasts, grace), ending, remove=True), member)
        await self.deliver(member)

    async def delete(self, member: Member, *, lasts: float, ending: Ending) -> None:
        """Its object is removed at once; its process lives on for so many seconds."""
        member.exists = False
        _end_tasks(member)
        if member.process.alive:
            self.go_on(self._end(member, lasts, ending, remove=False), member)
        await self.deliver(member)

    async def fail(self, member: Member) -> None:
        """Evicted: the process is killed, and the object stays as it is."""
        _end_tasks(member)
        member.process.die()
        now = self.kubelets_time()
        member.pod = replace(member.pod, phase="Failed", finished_at=now, ended_at=now)
        await self.deliver(member)

    async def process_dies(self, member: Member, *, away: float, registers: float, ready: float) -> None:
        """A container crashes, and the kubelet starts it again."""
        member.process.die()

        async def come_back() -> None:
            await asyncio.sleep(away)
            member.process.start(registers_after=registers, ready_after=ready)

        self.go_on(come_back(), member)
        await asyncio.sleep(MOMENT)

    # What the API server says.

    async def deliver(self, member: Member) -> None:
        """What the API server says of it, to a watch that listens."""
        if member.going and member.asked_at is None:
            member.asked_at = self.now()
        self.version += 1
        if not member.exists:
            self._removals.append((self.version, self.now(), member))
        feed = self.current_feed()
        if self.connected and feed is not None:
            if member.exists:
                feed.changes(member.pod)
            else:
                feed.removes(member.pod)
            member.known = member.exists
            member.known_gone = member.known_gone or member.going
        await asyncio.sleep(MOMENT)

    def list_pods(self) -> None:
        """It answers with all that it holds."""
        self.connected = True
        feed = self.current_feed()
        if feed is not None:
            for member in self.members:
                if member.known or (member.exists and not member.is_long_finished(self.now())):
                    member.known, member.known_gone = member.exists, member.known_gone or member.going
            feed.lists(*(member.pod for member in self.objects))

    def new_feed(self) -> ModelFeed:
        """The feed of a watch that starts."""
        return ModelFeed(lambda: self.version, self._removed_since, self._is_there)

    def _is_there(self, uid: str) -> bool:
        return any(member.pod.uid == uid and member.exists for member in self.members)

    def _removed_since(self, version: int) -> tuple[Removed, ...]:
        now = self.now()
        forgotten = [number for number, at, _ in self._removals if now - at > REMEMBERED]
        if forgotten and version < forgotten[-1]:
            raise KubernetesError("too old")
        removed = [member for number, _, member in self._removals if number > version]
        for member in removed:
            member.known_gone = True
        return tuple(Removed(pod=member.pod, details=PodDetails(pod=member.pod)) for member in removed)

    # How it goes on by itself.

    def go_on(self, act: Coroutine[None, None, None], member: Member | None = None) -> None:
        """Let something happen later, until the pod's fate is another one."""
        task = self._loop.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if member is not None:
            member.tasks.append(task)

    def _becomes_rival(self, process: Process) -> None:
        for other in self.everybody:
            if other.process.key == process.key:
                other.process.rival = process
        self.when_id_is_used_again(process.key)

    async def _end(self, member: Member, after: float, ending: Ending, *, remove: bool) -> None:
        await asyncio.sleep(after)
        if ending is not Ending.deregisters:
            member.process.die()
        elif await member.process.shutdown():
            self.when_deregistered(member.process.key)
        if remove:
            # The kubelet reports that the containers have ended, and removes the object after that.
            member.pod = replace(member.pod, ended_at=self.kubelets_time())
            await self.deliver(member)
            await asyncio.sleep(1)
            member.exists = False
            await self.deliver(member)


def _end_tasks(member: Member) -> None:
    for task in member.tasks:
        task.cancel()
