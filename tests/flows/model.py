"""A cluster, a registry and the controller between them, with a model of what must come of it all.

The model knows which pods live, what their processes report, and which endings the controller has seen.
``settle`` repairs everything, lets the dying die, waits, and compares.

By design, and so not asked for:

- A pod whose end no watch was there to see (it ended between two lists of which it was in neither, or while the only
  watch was away) is for the sweep to find.
- A process that outlives its pod and registers after the pod's end is left alone, unless it bears the pod's generated
  name and was taken out before: nothing distinguishes it from a successor, or nobody looks any more.
- What only a node that was away has kept of a pod, when the others showed a successor under its id, is left to the
  successor's heartbeats; if that one dies as well before the node is back, to the sweep.
- An override that a person set and that a memory loss of the nodes may have taken is expected neither to be there nor
  not to be.
- Two handlings of one drain which the log is kept from may each end it: as removed and as already gone, or as refused,
  superseded and restored. Each such word is true, and says the same of the instance.
- A pod that ended more than 15 min before it is first seen is for the sweep too.
- A registration under a host name that ends with a number, at another address than its pod's, is never touched; no pod
  here registers like that.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from controller.domain.causes import MAX_FINISHED_AGE
from controller.domain.commands import WorkItem
from controller.domain.events import FINAL, Event, Outcome, PodGoneEvent
from controller.domain.instances import OUT_OF_SERVICE, Instance
from controller.domain.ownership import END_TOLERANCE
from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.errors import KubernetesError
from controller.flows.ports import Removed
from controller.flows.worker_policy import WorkerPolicy
from tests.fakes.eureka_node import UNKNOWN, FakeNode, Trouble
from tests.fakes.outbox import Refusal
from tests.fakes.registry import FakeRegistry
from tests.fakes.virtual_time import virtual_clock
from tests.flows.model_process import Process
from tests.flows.model_replicas import BOOKMARK_INTERVAL, ModelBroker, ModelFeed, Replica, WatchReplica, WorkerReplica
from tests.unit.building import NOON

RETENTION = timedelta(minutes=1)
SETTLING = 20 * 60
"""Seconds: longer than any grace period, ghost, retention and restore of this model."""
LONGEST_SETTLING = 3600
MOMENT = 0.01
REMEMBERED = timedelta(minutes=5)
"""How long the API server remembers a removal."""

GONE = frozenset({Outcome.removed, Outcome.already_gone})
LEFT_ALONE = frozenset({Outcome.refused, Outcome.superseded, Outcome.restored})
"""Two handlings of one drain that have not read of each other may call the same end by several of these names."""

LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Kind(StrEnum):
    """How a pod is called, and how its process registers."""

    named = "a generated name, which id and host name bear"
    by_address = "a generated name; id and host name are the address"
    random_id = "a generated name; the id is random"
    stateful = "a StatefulSet's name, which id and host name bear"
    stateful_by_address = "a StatefulSet's name; id and host name are the address"
    fixed_id = "a generated name; all pods of the app share one id, one after the other"
    host_network = "on its node's network"


class Ending(StrEnum):
    """What a process does at its end."""

    silent = "silent"
    deregisters = "deregisters"


@dataclass(eq=False)
class Member:
    """A pod and its process."""

    pod: Pod
    kind: Kind
    slot: int
    process: Process
    exists: bool = True
    known_gone: bool = False
    """The watch that runs now has seen that it is going or gone."""
    known: bool = False
    """The watch that runs now has seen it."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def going(self) -> bool:
        return not self.exists or self.pod.deletion_at is not None or self.pod.finished

    @property
    def lives(self) -> bool:
        return not self.going

    def is_long_finished(self, now: datetime) -> bool:
        return self.pod.finished_at is not None and now - self.pod.finished_at >= MAX_FINISHED_AGE

    @property
    def bears_its_name(self) -> bool:
        return self.kind in (Kind.named, Kind.random_id, Kind.fixed_id)

    def __repr__(self) -> str:
        return f"{self.pod.key} ({self.pod.uid}, {self.kind.name}), {self.process!r}"


class Model:
    """An async context manager: everything runs inside of it."""

    def __init__(self, *, nodes: int = 2, workers: int = 1) -> None:
        self.nodes: list[FakeNode] = FakeRegistry(nodes=nodes, clock=virtual_clock).nodes
        self.members: list[Member] = []
        self.violations: list[str] = []
        self.by_a_person: set[tuple[str, str]] = set()
        """What a person took out of service, and must stay so."""
        self.unclear: set[tuple[str, str]] = set()
        """What a person took out, and who knows what became of it."""
        self.connected = True
        self.version = 0
        """The cluster's."""
        self._removals: list[tuple[int, datetime, Member]] = []
        self.broker = ModelBroker()
        self._number_of_workers = workers
        self._addresses = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        policy = WorkerPolicy(retention=RETENTION, give_up_after=timedelta(hours=12))
        self.workers = [
            WorkerReplica(self.broker, self.nodes, policy, self._before_delete) for _ in range(self._number_of_workers)
        ]
        self.watch = WatchReplica(self.broker, self._new_feed, self._watch_is_up, self._watch_is_down)
        self._go_on(self._send_bookmarks())
        await asyncio.sleep(2)
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self.members:
            member.process.die()
        for task in self._tasks:
            task.cancel()
        for replica in (*self.workers, self.watch):
            await replica.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def now(self) -> datetime:
        """The loop's time, running or not."""
        return NOON + timedelta(seconds=self._loop.time())

    # Who there is.

    @property
    def living(self) -> list[Member]:
        return [member for member in self.members if member.lives]

    @property
    def objects(self) -> list[Member]:
        """Pods that the API server still holds."""
        return [member for member in self.members if member.exists]

    def free_addresses(self) -> list[str]:
        """Addresses that were a pod's, whose process has ended too."""
        held = {member.pod.ip for member in self.members if member.lives or member.process.alive}
        held |= {member.pod.ip for member in self.objects if not member.pod.finished}
        return sorted({member.pod.ip for member in self.members if not member.pod.host_network} - held)

    def may_appear(self, kind: Kind, slot: int) -> bool:
        """Whether Kubernetes would let such a pod come up now."""
        match kind:
            case Kind.stateful | Kind.stateful_by_address:
                name = _set_name(kind, slot)
                return all(member.pod.name != name for member in self.objects)
            case Kind.fixed_id:
                # ASSUMED: an id that names no pod is not shared with a process that has outlived its pod's object.
                return not any(
                    member.kind is kind and (member.lives or (member.process.alive and not member.exists))
                    for member in self.members
                )
            case Kind.host_network:
                place = _node(slot), _port(slot)
                there = [one for one in self.members if (one.pod.node, one.process.port) == place]
                return not any(
                    one.kind is kind and ((one.exists and not one.pod.finished) or one.process.alive) for one in there
                )
            case _:
                return True

    # What happens in the cluster.

    async def appear(
        self, kind: Kind, *, slot: int = 0, address: str = "", registers: float = 2, ready: float = 5, node: int = 0
    ) -> Member:
        """A pod comes up; its process registers after so many seconds, and says UP so many later."""
        uid = f"uid-{len(self.members)}"
        suffix = _suffix(len(self.members))
        if not address:
            self._addresses += 1
            address = f"10.1.{self._addresses // 200}.{self._addresses % 200 + 1}"
        port, host_network = 8080, kind is Kind.host_network
        match kind:
            case Kind.stateful | Kind.stateful_by_address:
                name = _set_name(kind, slot)
            case Kind.host_network:
                name, address, port = f"edge-{suffix}", f"10.0.0.{slot % 2 + 1}", _port(slot)
            case _:
                name = f"{'pay' if kind is Kind.fixed_id else 'web'}-7c9d8f6b5-{suffix}"
        app = name.partition("-")[0].upper()
        host = name
        match kind:
            case Kind.by_address | Kind.stateful_by_address:
                host = address
                instance_id = f"{address}:{app.lower()}:{port}"
            case Kind.random_id:
                instance_id = f"{app.lower()}:{suffix * 3}"
            case Kind.fixed_id:
                instance_id = "pay-main"
            case Kind.host_network:
                host = _node(slot)
                instance_id = f"{host}:{app.lower()}:{port}"
            case _:
                instance_id = f"{name}:{app.lower()}:{port}"
        pod = Pod(
            namespace="shop",
            name=name,
            uid=uid,
            ip=address,
            hostname="" if host_network else name,
            node=_node(slot),
            host_network=host_network,
            ports=(port,),
            phase="Running",
            created_at=_whole(self.now()),
        )
        process = Process(
            self.nodes,
            app=app,
            instance_id=instance_id,
            ip=address,
            host=host,
            port=port,
        )
        for other in self.members:
            if other.process.key == process.key:
                other.process.rival = process
                if process.key in self.by_a_person:
                    self._unclear(process.key)
        member = Member(pod=pod, kind=kind, slot=slot, process=process)
        self.members.append(member)
        process.start(registers_after=registers, ready_after=ready, node=node % len(self.nodes))
        await self._deliver(member)
        return member

    async def terminate(self, member: Member, *, grace: int, lasts: float, ending: Ending) -> None:
        """Its deletion is asked for; the process ends after so many seconds, at the latest with the grace period."""
        now = self.now()
        deletion_at = _whole(now) + timedelta(seconds=grace)
        member.pod = replace(member.pod, deletion_at=deletion_at, grace_seconds=grace)
        self._end_registration(member)
        self._go_on(self._end(member, min(lasts, grace), ending, remove=True), member)
        await self._deliver(member)

    async def delete(self, member: Member, *, lasts: float, ending: Ending) -> None:
        """Its object is removed at once; its process lives on for so many seconds."""
        member.exists = False
        for task in member.tasks:
            task.cancel()
        if member.process.alive:
            self._end_registration(member)
            self._go_on(self._end(member, lasts, ending, remove=False), member)
        await self._deliver(member)

    async def fail(self, member: Member) -> None:
        """Evicted: the process is killed, and the object stays as it is."""
        for task in member.tasks:
            task.cancel()
        member.process.die()
        now = self.now()
        member.pod = replace(member.pod, phase="Failed", finished_at=_whole(now), ended_at=_whole(now))
        await self._deliver(member)

    async def process_dies(self, member: Member, *, away: float, registers: float, ready: float) -> None:
        """A container crashes, and the kubelet starts it again."""
        member.process.die()

        async def come_back() -> None:
            await asyncio.sleep(away)
            member.process.start(registers_after=registers, ready_after=ready)

        self._go_on(come_back(), member)
        await asyncio.sleep(MOMENT)

    async def person_takes_out(self, member: Member) -> None:
        """Somebody sets OUT_OF_SERVICE by hand, at every node."""
        self.by_a_person.add(member.process.key)
        for node in self.nodes:
            await node.put_status(*member.process.key, OUT_OF_SERVICE)
        await asyncio.sleep(MOMENT)

    def may_be_taken_out_by_a_person(self, member: Member) -> bool:
        """Alive, UP everywhere, and nobody has ever drained what is under its id."""
        key = member.process.key
        if not member.process.alive or member.process.says != "UP":
            return False
        held = [node.held(*key) for node in self.nodes]
        return (
            all(node.trouble is None for node in self.nodes)
            and all(one is not None and one.status == "UP" and one.override == UNKNOWN for one in held)
            and sum(other.process.key == key for other in self.members) == 1
            and not any((event.app, event.instance_id) == key for event in self.broker.events)
        )

    # What happens to the controller.

    async def interrupt_feed(self) -> None:
        """The watch of the API server ends."""
        self.connected = False

    async def list_pods(self) -> None:
        """It is there again, and begins with a list."""
        self.connected = True
        if self.watch.up:
            for member in self.members:
                if member.known or (member.exists and not member.is_long_finished(self.now())):
                    member.known, member.known_gone = member.exists, member.known_gone or member.going
            self.watch.feed.lists(*(member.pod for member in self.objects))
        await asyncio.sleep(MOMENT)

    async def crash(self, replica: Replica, within: int) -> None:
        """A process dies at so many side effects from now on; at none: here and now."""
        if within:
            replica.fate.doom(within)
        else:
            replica.kill()
        await asyncio.sleep(MOMENT)

    async def lose_channel(self, replica: WorkerReplica) -> None:
        """The broker gives to somebody else what this worker has not acknowledged."""
        replica.lose_channel()
        await asyncio.sleep(MOMENT)

    async def cut_log(self, replica: Replica, seconds: float) -> None:
        """A process does not hear of events for a while."""
        log = replica.log
        if log is not None:
            log.cut()
            asyncio.get_running_loop().call_later(seconds, log.link)
        await asyncio.sleep(MOMENT)

    @property
    def repeatable(self) -> list[WorkItem]:
        """What was sent. ASSUMED: no drain is repeated that has ended: that is a replay, answered once more."""
        ended = {event.drain_id for event in self.broker.events if event.outcome in FINAL}
        return [*(one for one in self.broker.sent if one.drain_id not in ended), *self.broker.restores]

    async def repeat(self, item: WorkItem) -> None:
        """It comes once more."""
        self.broker.repeat(item)
        await asyncio.sleep(MOMENT)

    async def delay(self, delays: Sequence[float]) -> None:
        """From now on messages take so long, each in its turn."""
        self.broker.delays_of_messages.clear()
        self.broker.delays_of_messages.extend(delays)

    async def refuse(self, refusal: Refusal | None) -> None:
        """From now on publishes fail, or no longer."""
        self.broker.refusal = refusal

    async def wait(self, seconds: float) -> None:
        """Time passes."""
        await asyncio.sleep(seconds)

    def _new_feed(self) -> ModelFeed:
        return ModelFeed(lambda: self.version, self._removed_since)

    def _removed_since(self, version: int) -> tuple[Removed, ...]:
        now = self.now()
        forgotten = [number for number, at, _ in self._removals if now - at > REMEMBERED]
        if forgotten and version < forgotten[-1]:
            raise KubernetesError("too old")
        removed = [member for number, _, member in self._removals if number > version]
        for member in removed:
            member.known_gone = True
        return tuple(Removed(pod=member.pod, details=PodDetails(pod=member.pod)) for member in removed)

    def _watch_is_up(self) -> None:
        self._go_on(self.list_pods())

    def _watch_is_down(self) -> None:
        sent = {item.pod.uid for item in self.broker.sent}
        for member in self.members:
            member.known = False
            member.known_gone = member.known_gone and member.pod.uid in sent

    # What happens to the registry.

    async def lose_memory(self, node: FakeNode) -> None:
        """A node is killed."""
        await node.kill()
        for key in list(self.by_a_person):
            self._unclear(key)

    async def freeze(self, node: FakeNode) -> None:
        """A node answers nobody, and misses what its peers replicate."""
        node.pause()
        for key in list(self.by_a_person):
            self._unclear(key)

    async def repair(self, node: FakeNode) -> None:
        """It is there again."""
        if node.trouble is Trouble.down:
            await node.start()
        else:
            node.resume()

    # What must come of it.

    async def settle(self) -> None:
        """Mend everything, let the dying die, wait, and compare."""
        self.broker.refusal = None
        self.broker.delays_of_messages.clear()
        self.broker.delays_of_messages.append(0.0)
        for node in self.nodes:
            await self.repair(node)
        for replica in (*self.workers, self.watch):
            replica.fate.spare()
            replica.reading = 1.0
            if replica.log is not None:
                replica.log.link()
        await asyncio.sleep(10)
        await self.list_pods()
        await asyncio.sleep(SETTLING)
        waited = SETTLING
        while not self.broker.idle and waited < LONGEST_SETTLING:
            await asyncio.sleep(60)
            waited += 60
        for replica in (*self.workers, self.watch):
            replica.check()
        self.compare()

    def compare(self) -> None:
        """Hold the registry, the queues and the event log against the model."""
        wrong = list(self.violations)
        for member in self.members:
            wrong += self._wrong_with_the_living(member) if member.lives else self._wrong_with_the_dead(member)
        for node in self.nodes:
            for instance_id in node.overrides:
                keys = {member.process.key for member in self.members if member.process.id == instance_id}
                if not keys & (self.by_a_person | self.unclear) and not self._holds_what_may_be_left(node, instance_id):
                    wrong.append(f"{node.url} keeps an override of {instance_id}")
        wrong += self._wrong_with_the_log()
        if not self.broker.idle:
            left = [f"{one.type} {one.body.decode()[:200]}" for one in self.broker.unacknowledged]
            wrong.append(f"the queues are not empty: {self.broker._on_the_ladder} on the ladder; {left}")
        if self.broker.dead:
            wrong.append(f"dead letters: {[(item.pod.key, why) for item, why in self.broker.dead]}")
        assert not wrong, "\n".join([*wrong, "", *self.report()])

    def report(self) -> list[str]:
        """The event log in short."""
        return [
            f"{event.at:%T} {event.outcome.value} {event.pod} {event.uid} {event.cause.value} {event.instance_id} "
            f"{event.reason}"
            for event in self.broker.events
        ]

    def _wrong_with_the_living(self, member: Member) -> list[str]:
        process = member.process
        if not process.alive or process.says != "UP" or process.key in self.unclear:
            return []
        expected = OUT_OF_SERVICE if process.key in self.by_a_person else "UP"
        override = OUT_OF_SERVICE if process.key in self.by_a_person else UNKNOWN
        wrong = []
        for node in self.nodes:
            held = node.held(*process.key)
            if held is None or not process.is_held_as(held) or (held.status, held.override) != (expected, override):
                wrong.append(f"alive: {member!r}; but {node.url} holds {held}")
        return wrong

    def _wrong_with_the_dead(self, member: Member) -> list[str]:
        if not member.known_gone or member.process.key in self.unclear:
            return []
        if any(other.lives and other.process.key == member.process.key for other in self.members):
            return []
        return [
            f"dead: {member!r}; but {node.url} holds {held}"
            for node in self.nodes
            if (held := node.held(*member.process.key)) is not None
            and member.process.has_registered(held)
            and not self._may_be_left(member, held)
        ]

    def _wrong_with_the_log(self) -> list[str]:
        finals: defaultdict[tuple[str, str, str], dict[str, Outcome]] = defaultdict(dict)
        ended: set[str] = set()
        held: set[tuple[str, str, str]] = set()
        for event in self.broker.events:
            key = (event.drain_id, event.app, event.instance_id)
            if event.outcome in FINAL:
                finals[key][event.event_id] = event.outcome
                ended.add(event.drain_id)
            elif event.outcome is Outcome.out_of_service:
                held.add(key)
        wrong = [
            f"{key} ended as {[outcome.value for outcome in outcomes.values()]}"
            for key, outcomes in finals.items()
            if len(outcomes) != 1 and not any(alike.issuperset(outcomes.values()) for alike in (LEFT_ALONE, GONE))
        ]
        wrong += [f"{key} was taken out and has no ending" for key in held if key not in finals]
        wrong += [
            f"the drain {item.drain_id} of {item.pod.key} has no ending"
            for item in {item.drain_id: item for item in self.broker.sent}.values()
            if item.drain_id not in ended
        ]
        return wrong

    def _may_be_left(self, member: Member, held: Instance) -> bool:
        """Whether it was registered after the pod's end, or only a node that was away has kept it: see "By design"."""
        ended_as = [event for event in self._events_of(member) if event.outcome in LEFT_ALONE]
        if any(not reading.answered for event in ended_as for reading in event.nodes):
            return True
        gone_at = self._gone_at(member.pod.uid)
        if gone_at is None or held.dirty_at is None or held.dirty_at <= gone_at + END_TOLERANCE:
            return False
        before = {event.outcome for event in self._events_of(member) if event.at <= held.dirty_at}
        return not member.bears_its_name or Outcome.out_of_service not in before or bool(before & FINAL)

    def _events_of(self, member: Member) -> list[Event]:
        key = (member.pod.uid, *member.process.key)
        return [event for event in self.broker.events if (event.uid, event.app, event.instance_id) == key]

    def _holds_what_may_be_left(self, node: FakeNode, instance_id: str) -> bool:
        held = node.by_id(instance_id)
        return held is not None and any(
            member.process.has_registered(held) and self._may_be_left(member, held) for member in self.members
        )

    def _gone_at(self, uid: str) -> datetime | None:
        """Since when the controller takes a pod for over."""
        said = [one.gone_at for one in self.broker.entries if isinstance(one, PodGoneEvent) and one.uid == uid]
        said += [one.gone_at for one in self.broker.sent if one.pod.uid == uid and one.gone_at is not None]
        return min(said, default=None)

    # How it goes on by itself.

    async def _end(self, member: Member, after: float, ending: Ending, *, remove: bool) -> None:
        await asyncio.sleep(after)
        if ending is Ending.deregisters:
            await member.process.shutdown()
        else:
            member.process.die()
        if remove:
            # The kubelet reports that the containers have ended, and removes the object after that.
            member.pod = replace(member.pod, ended_at=_whole(self.now()))
            await self._deliver(member)
            await asyncio.sleep(1)
            member.exists = False
            await self._deliver(member)

    def _end_registration(self, member: Member) -> None:
        for task in member.tasks:
            task.cancel()

    def _go_on(self, act: Coroutine[None, None, None], member: Member | None = None) -> None:
        task = asyncio.get_running_loop().create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if member is not None:
            member.tasks.append(task)

    async def _send_bookmarks(self) -> None:
        while True:
            await asyncio.sleep(BOOKMARK_INTERVAL)
            self.version += 1  # other objects have changed
            if self.connected and self.watch.up:
                self.watch.feed.stays_silent()

    async def _deliver(self, member: Member) -> None:
        """What the API server says of it, to a watch that listens."""
        self.version += 1
        if not member.exists:
            self._removals.append((self.version, self.now(), member))
        if self.connected and self.watch.up:
            if member.exists:
                self.watch.feed.changes(member.pod)
            else:
                self.watch.feed.removes(member.pod)
            member.known = member.exists
            member.known_gone = member.known_gone or member.going
        await asyncio.sleep(MOMENT)

    def _unclear(self, key: tuple[str, str]) -> None:
        self.by_a_person.discard(key)
        self.unclear.add(key)

    def _before_delete(self, app: str, instance_id: str, node: FakeNode) -> None:
        held = node.held(app, instance_id)
        for member in self.living:
            process = member.process
            if process.key == (app, instance_id) and process.alive and process.says and process.is_held_as(held):
                self.violations.append(f"at {self.now():%T}: DELETE at {node.url} of the living {member!r}")


def _whole(moment: datetime) -> datetime:
    """The API's times are whole seconds."""
    return moment.replace(microsecond=0)


def _suffix(number: int) -> str:
    text = ""
    for _ in range(5):
        number, digit = divmod(number, len(LETTERS))
        text = LETTERS[digit] + text
    return text


def _set_name(kind: Kind, slot: int) -> str:
    return f"{'orders' if kind is Kind.stateful else 'stock'}-{slot % 2}"


def _node(slot: int) -> str:
    return ("node-a", "node-b")[slot % 2]


def _port(slot: int) -> int:
    return 8080 + slot // 2 % 2
