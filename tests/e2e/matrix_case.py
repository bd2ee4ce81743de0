"""One cell of the matrix: a process that ends, the one beside it, and what every node showed of both meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import dropwhile, takewhile
from typing import Any

from tests.e2e.event_log import EventLog, reason_of
from tests.e2e.matrix_endings import Ending
from tests.e2e.matrix_ways import HOST_PORTS, Home, Place, Sharing, Way
from tests.faults.street import LINGERS, Sample, Street, changes
from tests.stack.eureka_client import Client
from tests.stack.node import IP_ANNOTATION, Node
from tests.stack.pod_process import PodProcess
from tests.stack.waiting import NeverHappenedError, until
from tests.stack.workloads import container, pod_spec

INTERVAL = 0.4
OUT_TIMEOUT = 30.0
"""Seconds until it must be out at every node: many times what docs/matrix.md has, for a machine with other work."""
END_TIMEOUT = 75.0
"""Seconds until its drain must have ended."""
NEXT_TIMEOUT = 30.0
"""Seconds from a newer process' UP until it must serve at every node."""
WATCHED_FOR = 30.0
"""Seconds that are looked on where nothing is to happen."""
SAFE = "bcdfghjklmnpqrstvwxz2456789"
WRITES = frozenset({"out_of_service", "removed", "retrying", "restored", "failed"})


class Right(StrEnum):
    """What is to become of the registration."""

    removed = "removed"
    given_back = "given back"
    handed_over = "the next one's"
    stays_out = "stays out"
    untouched = "untouched"
    refused = "refused"


def right_of(way: Way, ending: Ending) -> Right:
    """The promise, for every cell."""
    if way.alike and ending is not Ending.crash:
        return Right.refused
    if ending is Ending.crash or way.sharing is Sharing.oldest:
        return Right.untouched
    if ending is Ending.node_lost:
        return Right.stays_out  # nobody knows whether its process runs on: here it does
    if ending is Ending.rollout:
        if way.sharing:
            return Right.untouched  # it is the new one's registration by then
        return Right.handed_over if way.same_id else Right.removed
    if way.sharing:
        # Of one that was removed by force, or of which its node tells nothing, nobody knows that it has ended.
        unproved = ending in (Ending.force, Ending.evict_bare)
        return Right.stays_out if unproved else Right.given_back
    return Right.removed


@dataclass(eq=False)
class Case:
    """It, its pod, and the bystander; all times by time.monotonic()."""

    way: Way
    ending: Ending
    street: Street
    node: Node
    number: int
    other_namespace: str
    pod: PodProcess = field(init=False)
    client: Client = field(init=False)
    bystander: Client = field(init=False)
    successor: Client | None = None
    own_samples: list[Sample] = field(default_factory=list)
    bystander_samples: list[Sample] = field(default_factory=list)
    successor_samples: list[Sample] = field(default_factory=list)
    begun_at: float = 0.0
    ended_at: float | None = None
    """When its process had ended."""
    next_at: float | None = None
    """When the successor had said UP."""
    settled_at: float | None = None
    trouble: str = ""
    _sampling: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.right = right_of(self.way, self.ending)

    @property
    def namespace(self) -> str:
        return self.street.namespace

    @property
    def same_id(self) -> bool:
        return self.way.same_id

    @property
    def app(self) -> str:
        return f"app{self.number}-{self.street.mark}"

    @property
    def _samples_itself(self) -> bool:
        """Whether the bystander's registration is its own."""
        return self.way.sharing is not None

    async def prepare(self) -> None:
        """Both run, and are UP at every node."""
        self.pod = await self._new_pod(self.namespace, self.node.name)
        at = self._place(self.pod)
        self.client = self.street.client(self.way.own(at), self.number % 2)
        beside = self.way.beside(at, await self._place_beside())
        self.bystander = self.street.client(beside, (self.number + 1) % 2)
        # The last one to register is the one that the registry shows.
        last_is_bystander = self.way.sharing is Sharing.oldest
        for one in (self.client, self.bystander) if last_is_bystander else (self.bystander, self.client):
            await one.say("UP")
            await asyncio.sleep(0.2)
        for one in (self.client, self.bystander):
            await self._wait_until_served(one)

    def start_sampling(self) -> None:
        """From now on."""
        self._sampling = asyncio.create_task(self._sample())

    async def stop(self) -> None:
        """No more samples."""
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)

    async def succeed(self) -> None:
        """A new pod comes, and its process registers as STARTING, and then as UP."""
        one = await self._new_pod(self.namespace, self.node.name)
        self.successor = self.street.client(self.way.own(self._place(one)), self.number % 2)
        await self._start(self.successor)

    async def start_again(self) -> None:
        """The container's next process."""
        self.client = self.street.client(self.client.registration, self.number % 2)
        await self._start(self.client)

    async def wait_until_out(self) -> None:
        """Every node has it out; not waited for where it is not to be."""
        if self.right not in (Right.untouched, Right.refused):
            await until(lambda: self._out_after() is not None, f"{self.way.title} out", timeout=OUT_TIMEOUT)

    async def settle(self, log: EventLog) -> None:
        """Until what is right has come, or has not in time."""
        if self.right in (Right.stays_out, Right.untouched, Right.refused):
            await asyncio.sleep(WATCHED_FOR)
            return
        try:
            await until(lambda: self._is_settled(log), f"{self.right}", timeout=END_TIMEOUT, interval=0.3)
            self.settled_at = time.monotonic()
            await asyncio.sleep(3)  # and it stays so
        except NeverHappenedError:
            self.trouble = f"not {self.right} within {END_TIMEOUT:.0f} s"

    def complaints(self, log: EventLog) -> list[str]:
        """What is wrong with the cell."""
        found = [self.trouble] if self.trouble else []
        found += self._complaints_of_own(log)
        successor = list(dropwhile(lambda sample: not sample.serves, self.successor_samples))
        for what, samples in (("bystander", self.bystander_samples), ("successor", successor)):
            if spoiled := [sample for sample in samples if sample.spoiled]:
                found.append(f"the {what} showed {_text(spoiled, self.begun_at)}")
        if not self._samples_itself:
            written = {event["outcome"] for event in self._events_of(log, self.bystander)} & WRITES
            found += [f"the log says of the bystander: {', '.join(sorted(written))}"] if written else []
        return found

    def verdict(self, log: EventLog) -> str:
        """The cell, in a few words."""
        out_after = self._out_after()
        out = "not out" if out_after is None else f"out {out_after:.1f} s"
        match self.right:
            case Right.removed:
                return f"{out}, removed {self._seconds(self.settled_at, self.ended_at)}"
            case Right.given_back:
                return f"{out}, given back {self._seconds(self._serving_at(), self.ended_at)}"
            case Right.handed_over:
                return f"{out}, next one serves {self._seconds(self._serving_at(), self.next_at)}"
            case Right.stays_out:
                return f"{out}, stays out"
            case Right.untouched | Right.refused:
                return str(self.right) if out_after is None else out

    def record(self, log: EventLog) -> str:
        """All that was seen, for whoever looks for the cause."""
        lines = [f"{self.way.title} x {self.ending}: {self.client.registration}"]
        lines += [f"  own: {changes(self.own_samples, self.begun_at)}"]
        lines += [f"  bystander {self.bystander.registration}: {changes(self.bystander_samples, self.begun_at)}"]
        if self.successor_samples:
            lines += [f"  successor: {changes(self.successor_samples, self.begun_at)}"]
        for event in log.events:
            if event["uid"] == self.pod.uid or event["instance_id"] == self.bystander.registration.instance_id:
                lines.append(
                    f"  {event['at']} {event['pod']} {event['cause']} {event['outcome']} {event['app']}"
                    f" {event['instance_id']} {reason_of(event)}"
                )
        return "\n".join(lines)

    def _complaints_of_own(self, log: EventLog) -> list[str]:
        out_at, out_after = self._out_at(), self._out_after()
        if self.right in (Right.untouched, Right.refused):
            touched = [one for one in self.own_samples if any("OUT" in (shown or "") for shown in one.seen)]
            found = [f"it showed {_text(touched, self.begun_at)}"] if touched else []
            if self.ending is Ending.crash and (events := [one for one in log.events if one["uid"] == self.pod.uid]):
                found.append(f"it was drained: {events[0]['cause']}")
            return found
        if out_at is None or out_after is None:
            return ["it never was out at every node"]
        found = [f"out after {out_after:.1f} s only"] if out_after > OUT_TIMEOUT else []
        if self.right is Right.handed_over and self.next_at and (serving_at := self._serving_at()):
            took = serving_at - self.next_at
            found += [f"the next one served after {took:.1f} s only"] if took > NEXT_TIMEOUT else []
        again = [one for one in self.own_samples if one.at > out_at and one.served]
        if again and self.right in (Right.removed, Right.stays_out):
            found.append(f"it was back in service: {_text(again, self.begun_at)}")
        return found

    def _serving_at(self) -> float | None:
        """Since when every node has shown it UP, for good."""
        serving = list(takewhile(lambda sample: not sample.spoiled, reversed(self.own_samples)))
        return serving[-1].at if serving else None

    def _is_settled(self, log: EventLog) -> bool:
        sample = self.own_samples[-1]
        outcomes = {event["outcome"] for event in self._events_of(log, self.client)}
        if self.right is Right.removed:
            return bool(outcomes & {"removed", "already_gone"}) and all(one == "absent" for one in sample.seen)
        if self.right is Right.handed_over and (self.next_at is None or sample.at < self.next_at):
            return False
        return bool(outcomes & {"restored", "superseded"}) and sample.serves

    def _events_of(self, log: EventLog, client: Client) -> list[dict[str, Any]]:
        one = client.registration
        return [e for e in log.events if (e["app"], e["instance_id"]) == (one.app.upper(), one.instance_id)]

    def _out_at(self) -> float | None:
        gone = ("OUT_OF_SERVICE, override OUT_OF_SERVICE", "absent")
        out = (one.at for one in self.own_samples if one.at > self.begun_at and all(each in gone for each in one.seen))
        return next(out, None)

    def _out_after(self) -> float | None:
        """Seconds from the ending's beginning, or from its deletion where a new one came first, until it was out."""
        out_at = self._out_at()
        return None if out_at is None else max(0.0, out_at - (self._asked_at() or self.begun_at))

    def _asked_at(self) -> float | None:
        """When its node saw its deletion, where that is not when the ending began."""
        seen = self.pod.timeline.deletion_seen
        if self.ending is not Ending.rollout or seen is None:
            return None
        return time.monotonic() - (time.time() - seen.timestamp())

    def _seconds(self, until_at: float | None, since_at: float | None) -> str:
        return "-" if until_at is None or since_at is None else f"{until_at - since_at:.0f} s"

    async def _start(self, client: Client) -> None:
        await client.say("STARTING")
        await asyncio.sleep(0.5)
        await client.say("UP")
        self.next_at = time.monotonic()
        if not self.same_id or self.ending is not Ending.rollout:
            await self._wait_until_served(client)

    async def _wait_until_served(self, client: Client) -> None:
        one = client.registration

        async def look() -> bool:
            return (await self.street.look(one.app, one.instance_id)).serves

        await until(look, f"{self.way.title}: {one.instance_id} UP at every node", timeout=30)

    async def _sample(self) -> None:
        while True:
            begun_at = time.monotonic()
            watched = [(self.client, self.own_samples)]
            if not self._samples_itself:
                watched.append((self.bystander, self.bystander_samples))
            if self.successor is not None and not self.same_id and self.next_at and not self._samples_itself:
                watched.append((self.successor, self.successor_samples))
            looks = [self.street.look(one.registration.app, one.registration.instance_id) for one, _ in watched]
            for (_, samples), sample in zip(watched, await asyncio.gather(*looks), strict=True):
                samples.append(sample)
            await asyncio.sleep(max(0.05, INTERVAL - (time.monotonic() - begun_at)))

    async def _new_pod(self, namespace: str, node: str | None, *, name: str = "") -> PodProcess:
        way = self.way
        one = container(lifecycle={"preStop": {"sleep": {"seconds": LINGERS}}})
        one["ports"] = [{"containerPort": port or 9_000 + self.number} for port in way.ports]
        if way.host_port:
            one["ports"] = [{"containerPort": 8080, "hostPort": HOST_PORTS + self.number}]
        spec = pod_spec(one, host_network=way.host_network)
        spec |= {"nodeName": node} if node else {}
        spec |= {"hostname": way.host_name.format(app=self.app)} if way.host_name else {}
        address = self.street.new_address()
        addresses = f"fd00:10::{secrets.token_hex(2)},{address}" if way.dual_stack else address
        name = name or (f"{self.app}-0" if way.ordinal else "")
        named = {"name": name} if name else {"generateName": f"{self.app}-7cd9c4fbcc-"}
        metadata = {**named, "labels": {"app": self.app}, "annotations": {IP_ANNOTATION: addresses}}
        body = {"metadata": metadata, "spec": spec}
        created = await self.street.cluster.client.create("pods", body, namespace)
        uid, nodes = created["metadata"]["uid"], (self.node, self.street.cluster.node)

        def look() -> PodProcess | None:
            return next((n.pods[uid] for n in nodes if uid in n.pods and n.pods[uid].timeline.ready), None)

        found: PodProcess = await until(look, f"{created['metadata']['name']} ready", timeout=60)
        return found

    async def _place_beside(self) -> Place:
        match self.way.home:
            case Home.watched:
                return self._place(await self._new_pod(self.namespace, None))
            case Home.other_namespace:
                return self._place(await self._new_pod(self.other_namespace, None, name=self.pod.name))
            case Home.elsewhere:
                name = f"{self.app}-6f7d9c8b5-{''.join(secrets.choice(SAFE) for _ in range(5))}"
                uid = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"
                ip = self.street.new_address()
                return Place(self.app, name, uid, ip, self.node.name, self.node.ip, self.number)

    def _place(self, one: PodProcess) -> Place:
        ip = next(address for address in one.ips if ":" not in address)
        node = (
            self.node
            if self.way.host_network
            else next(n for n in (self.node, self.street.cluster.node) if one.uid in n.pods)
        )
        return Place(self.app, one.name, one.uid, ip, node.name, node.ip, self.number)


def _text(samples: Sequence[Sample], begun_at: float) -> str:
    first, last = samples[0], samples[-1]
    shown = " / ".join(dict.fromkeys(str(one) for one in first.seen))
    return f"{shown} from {first.at - begun_at:+.1f} s to {last.at - begun_at:+.1f} s, {len(samples)} samples"
