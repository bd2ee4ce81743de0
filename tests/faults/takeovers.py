"""One id that goes from a drained pod to a new one: both pods, the clients that we play for them, and what nodes show.

Order of events: the old pod registers and is UP at both nodes; it is deleted, is out of service at both, ends, and its
object goes; a new pod comes, registers as STARTING and then as UP. From the old one's deletion on the id is sampled at
every node, straight from the registry.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network
from itertools import count, pairwise
from typing import Any, assert_never

from tests.e2e.event_log import reason_of
from tests.faults.population import UNREACHABLE
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.node import IP_ANNOTATION
from tests.stack.pod_process import PodProcess
from tests.stack.registry_client import RegistryClient
from tests.stack.waiting import until
from tests.stack.workloads import container, pod, pod_spec

SETTINGS = {"retention": "3s", "instance_id_templates": "{hostname}:{app}:{port},{ip}:{app}:{port}"}
"""A pod is found past the servers' response cache, by what its annotations and its ports say."""
RETENTION = 3.0
QUICK, STOCK = 1, 30
"""Seconds between two heartbeats."""
INTERVAL = 0.2
PATIENCE = 1.0
LINGERS = 2
"""Seconds of preStop, in which a pod that was deleted with grace goes on heartbeating."""
AGE = 32.0
"""Seconds that the old one has been registered when it is deleted: longer than the clocks' skew that the fence allows
for, so that its registration cannot be taken for that of a pod created after its end."""
LOOKS = 10.0
"""Seconds that the worker may take between two looks, and 5 for its first one."""


class Kind(StrEnum):
    """How the new pod comes by the old one's id."""

    stateful = "same name, id {name}:app:8080"
    reused_ip = "same IP, id {ip}:app:8080"
    fixed = "fixed id, other name and IP"
    host_network = "hostNetwork, id {node}:app:port"


@dataclass(frozen=True)
class Sample:
    """What every node said at one moment (time.monotonic()); None: no answer."""

    at: float
    seen: tuple[str | None, ...]

    @property
    def serves(self) -> bool:
        """Whether every node gives it to clients, and keeps no override."""
        return all(one == "UP" for one in self.seen)

    @property
    def served(self) -> bool:
        """Whether any node gives it to clients."""
        return any(one is not None and one.startswith("UP") for one in self.seen)

    @property
    def spoiled(self) -> bool:
        """Whether any node that answers does not give it to clients, or keeps an override."""
        return any(one not in (None, "UP") for one in self.seen)


@dataclass(frozen=True)
class Registration:
    """What a process says of itself."""

    app: str
    instance_id: str
    ip: str
    host: str
    port: int
    """0: disabled."""
    renewal_seconds: int
    secure_port: int = 0
    metadata: dict[str, str] = field(default_factory=dict)


class Client:
    """A process's client library: it keeps to one node, renews there, and registers again when that is answered 404."""

    def __init__(self, node: RegistryClient, registration: Registration) -> None:
        self.registration = registration
        self._node = node
        self._status = ""
        self._renewing: asyncio.Task[None] | None = None

    async def say(self, status: str) -> None:
        """Register, or register again, with this status; renew from the first time on."""
        self._status = status
        await self._register()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def end(self) -> None:
        """No more heartbeats, as after SIGKILL."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _register(self) -> None:
        one = self.registration
        await self._node.register(
            one.app,
            one.instance_id,
            ip=one.ip,
            host=one.host,
            port=one.port,
            secure_port=one.secure_port,
            status=self._status,
            renewal_seconds=one.renewal_seconds,
            metadata=one.metadata,
        )

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.registration.renewal_seconds)
            with suppress(*UNREACHABLE):
                if not await self._node.heartbeat(self.registration.app, self.registration.instance_id):
                    await self._register()


class Street:
    """The pods of one namespace."""

    def __init__(self, cluster: Cluster, eureka: EurekaNodes, namespace: str) -> None:
        self.cluster, self.eureka, self.namespace = cluster, eureka, namespace
        # Part of every id: a late copy of a DELETE at the end of an earlier street must not meet a registration here.
        self.mark = secrets.token_hex(2)
        # Of our own: nobody else's timeouts end a heartbeat's connection.
        self.nodes = [RegistryClient(url) for url in eureka.urls]
        self.clients: list[Client] = []
        self.handovers: list[Handover] = []
        # Not the loopback addresses that pods with processes have: those prove nothing about who registered them.
        self._addresses = (ip_network("10.0.0.0/8")[number] for number in count(random.randrange(1 << 23)))

    def new_address(self) -> str:
        """One that no other pod of this street has."""
        return str(next(self._addresses))

    async def pod(
        self,
        name: str,
        annotations: dict[str, str],
        *,
        ip: str = "",
        port: int = 8080,
        host_network: bool = False,
    ) -> PodProcess:
        """A pod that runs, without a process."""
        one = container(lifecycle={"preStop": {"sleep": {"seconds": LINGERS}}})
        one["ports"] = [{"containerPort": port}]
        notes = annotations | {IP_ANNOTATION: ip or self.new_address()}
        body = pod(name, pod_spec(one, host_network=host_network), annotations=notes)
        created = await self.cluster.client.create("pods", body, self.namespace)
        pods, uid = self.cluster.node.pods, created["metadata"]["uid"]
        await until(lambda: uid in pods and pods[uid].timeline.ready, f"{name} ready", timeout=60)
        return pods[uid]

    def client(self, registration: Registration, node: int) -> Client:
        """A client that keeps to this node."""
        client = Client(self.nodes[node], registration)
        self.clients.append(client)
        return client

    async def look(self, app: str, instance_id: str) -> Sample:
        """Ask every node for its status, with the override if there is one."""
        at = time.monotonic()
        return Sample(at, tuple(await asyncio.gather(*(_ask(node, app, instance_id) for node in self.nodes))))

    async def close(self) -> None:
        """End all clients and samples, and forget what was registered."""
        await asyncio.gather(*(one.stop() for one in self.handovers))
        await asyncio.gather(*(client.end() for client in self.clients))
        ids = {(client.registration.app, client.registration.instance_id) for client in self.clients}
        for app, instance_id in ids:
            for node in self.nodes:
                with suppress(*UNREACHABLE):
                    await node.delete(app, instance_id)
        await asyncio.gather(*(node.close() for node in self.nodes))


async def _ask(node: RegistryClient, app: str, instance_id: str) -> str | None:
    try:
        async with asyncio.timeout(PATIENCE):
            found = await node.get(app, instance_id)
    except UNREACHABLE:
        return None
    if found is None:
        return "absent"
    override = found.get("overriddenStatus", found.get("overriddenstatus", "UNKNOWN"))
    return str(found["status"]) if override == "UNKNOWN" else f"{found['status']}, override {override}"


@dataclass(eq=False)
class Handover:
    """One id, its old pod and its new one."""

    street: Street
    kind: Kind
    tag: str
    renewal_seconds: int
    dice: random.Random
    number: int = 0
    samples: list[Sample] = field(default_factory=list)
    begun_at: float | None = None
    """When the old one registered. All times by time.monotonic()."""
    out_at: float | None = None
    """When the old one was out of service at every node."""
    ended_at: float | None = None
    """When the old one's heartbeats had ended."""
    came_at: float | None = None
    """When the new pod ran."""
    up_at: float | None = None
    """When the new one began to register as UP."""
    troubles: list[str] = field(default_factory=list)
    old: Client | None = None
    new: Client | None = None
    new_pod: PodProcess | None = None
    _pod: PodProcess | None = None
    _sampling: asyncio.Task[None] | None = None

    @property
    def app(self) -> str:
        return f"app-{self.tag}"

    @property
    def name(self) -> str:
        """The old pod's."""
        return f"{self.tag}-0" if self.kind is Kind.stateful else f"{self.tag}-old"

    @property
    def instance_id(self) -> str:
        assert self.old is not None
        return self.old.registration.instance_id

    @property
    def prefers_ip(self) -> bool:
        """Whether the app registers its address as its host name, too."""
        return self.number // len(Kind) % 3 == 1

    @property
    def renewal(self) -> str:
        return f"{self.renewal_seconds} s"

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.tag} ({self.kind}, heartbeats every {self.renewal})"

    @property
    def port(self) -> int:
        return 9000 + self.number if self.kind is Kind.host_network else 8080

    @property
    def retained_until(self) -> float:
        """When the old one's drain would have deleted the instance at the latest, had nobody taken over."""
        assert self.ended_at is not None
        return self.ended_at + LOOKS + self.renewal_seconds + 5 + RETENTION

    async def begin(self) -> None:
        """The old pod runs, and is UP at every node."""
        self._pod = await self._new_pod(self.name)
        self.old = self._client_of(self._pod)
        await self.old.say("UP")
        self.begun_at = time.monotonic()
        await self.wait_for("UP")

    async def grow_old(self, age: float = AGE) -> None:
        """Wait until the old one has lived for so long."""
        assert self.begun_at is not None
        await asyncio.sleep(max(0.0, self.begun_at + age - time.monotonic()))

    async def drain(self, *, outright: bool) -> None:
        """The old pod is deleted, is out of service at every node, ends, and its object goes."""
        assert self._pod is not None
        assert self.old is not None
        self._sampling = asyncio.create_task(self._sample())
        timeline = self._pod.timeline
        await self.delete(self._pod, self.old, outright=outright)
        await until(self._is_out, f"{self.label} out of service at every node", timeout=30)
        await until(lambda: timeline.deleted_at, f"the object of {self.label} gone")

    async def delete(self, one: PodProcess, client: Client, *, outright: bool) -> None:
        """Delete a pod, whose process ends at once or after its preStop; returns at that end."""
        await self.street.cluster.client.delete(
            "pods", one.timeline.name, self.street.namespace, grace_seconds=0 if outright else None
        )
        if not outright:
            await until(lambda: one.timeline.exited_at, f"{one.timeline.name} ended")
        await client.end()
        self.ended_at = time.monotonic()

    async def succeed(self, node: int | None = None) -> None:
        """The new pod runs, and registers as STARTING."""
        assert self._pod is not None
        name = self.name if self.kind is Kind.stateful else f"{self.tag}-new"
        ip = self._pod.ip if self.kind is Kind.reused_ip else ""
        self.new_pod = await self._new_pod(name, ip=ip)
        self.came_at = time.monotonic()
        await asyncio.sleep(self.dice.uniform(0, 1.5))
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

    def complaints(self, settled_at: float = 0.0) -> list[str]:
        """What is wrong with what was seen: the dead process served, the new one not, or not for good.

        Until `settled_at` the nodes may still replicate what is over.
        """
        found = list(self.troubles)
        up_at = float("inf") if self.up_at is None else self.up_at
        if self.out_at is not None:
            dead = [sample for sample in self.samples if self.out_at < sample.at < up_at - PATIENCE and sample.served]
            if dead:
                who = "nobody" if self.new is None else "the new one"
                found.append(f"{self.label} served {len(dead)} times while {who} had not said UP: {self._text(dead)}")
        serving = next((sample.at for sample in self.samples if sample.at >= up_at and sample.serves), None)
        if serving is None:
            found.append(f"{self.label} never served at every node: {self.record()}")
            return found
        spoiled = [sample for sample in self.samples if sample.at > max(serving, settled_at) and sample.spoiled]
        if spoiled:
            found.append(
                f"{self.label} stopped serving, {len(spoiled)} samples: {self._text(spoiled)}; {self.record()}"
            )
        return found

    def record(self) -> str:
        """What was shown, each change once, with the seconds since the new one said UP."""
        begin = self.up_at or self.out_at or 0.0
        changes = self.samples[:1] + [two for one, two in pairwise(self.samples) if one.seen != two.seen]
        return "; ".join(f"{sample.at - begin:+.1f} s {list(sample.seen)}" for sample in changes)

    def _text(self, samples: Sequence[Sample]) -> str:
        begin = self.up_at or self.out_at or 0.0
        first, last = samples[0], samples[-1]
        return f"{first.at - begin:+.1f} s {list(first.seen)} to {last.at - begin:+.1f} s {list(last.seen)}"

    def _is_out(self) -> bool:
        sample = self.samples[-1] if self.samples else None
        if sample is None or any(
            one not in ("OUT_OF_SERVICE, override OUT_OF_SERVICE", "absent") for one in sample.seen
        ):
            return False
        self.out_at = sample.at
        return True

    async def _sample(self) -> None:
        while True:
            sample = await self.street.look(self.app, self.instance_id)
            self.samples.append(sample)
            await asyncio.sleep(max(0.02, INTERVAL - (time.monotonic() - sample.at)))

    async def _new_pod(self, name: str, *, ip: str = "") -> PodProcess:
        annotations = {"eureka.drain/app": self.app}
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
            case Kind.reused_ip:
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


@asynccontextmanager
async def street(cluster: Cluster, eureka: EurekaNodes, namespace: str) -> AsyncIterator[Street]:
    """Ended with all its clients."""
    one = Street(cluster, eureka, namespace)
    try:
        yield one
    finally:
        await one.close()


def mixed(
    place: Street,
    runs: int,
    dice: random.Random,
    *,
    kinds: Sequence[Kind] = tuple(Kind),
    renewals: Sequence[int] = (QUICK, STOCK),
) -> list[Handover]:
    """So many handovers, of all kinds and heartbeats alike."""
    # Every kind meets every heartbeat: the heartbeat changes after each round of kinds.
    handovers = [
        Handover(
            place,
            kinds[number % len(kinds)],
            f"{kinds[number % len(kinds)].name.replace('_', '-')}-{number}-{place.mark}",
            renewals[number // len(kinds) % len(renewals)],
            random.Random(dice.random()),
            number,
        )
        for number in range(runs)
    ]
    place.handovers += handovers
    return handovers


def table(handovers: Sequence[Handover], since: str, begins: Sequence[float | None]) -> list[str]:
    """A line for each kind, and one for all: seconds from each one's beginning, first and for good."""
    wide = max(len(kind) for kind in Kind)
    heads = f"{'kind':<{wide}}  runs  converged  stayed   min  median   max  for good: median   max"
    lines = [f"seconds {since} until UP at every node, without an override", heads, "-" * len(heads)]
    pairs = list(zip(handovers, begins, strict=True))
    for kind in [*Kind, None]:
        mine = [(one, begin) for one, begin in pairs if kind in (None, one.kind)]
        if not mine:
            continue
        low, middle, high = _spread([one.seconds(begin) for one, begin in mine])
        _, settled, last = _spread([one.seconds(begin, for_good=True) for one, begin in mine])
        converged = sum(one.seconds(begin, for_good=True) is not None for one, begin in mine)
        stayed = sum(not one.complaints() for one, _ in mine)
        lines.append(
            f"{kind or 'all':<{wide}}  {len(mine):>4}  {converged:>9}  {stayed:>6}  {low:>4}  {middle:>6}  {high:>4}"
            f"  {settled:>16}  {last:>4}"
        )
    return lines


def _spread(seconds: Sequence[float | None]) -> tuple[str, str, str]:
    """The least, the middle and the greatest of them."""
    took = sorted(one for one in seconds if one is not None)
    if not took:
        return "-", "-", "-"
    return f"{took[0]:.1f}", f"{took[len(took) // 2]:.1f}", f"{took[-1]:.1f}"


Event = dict[str, Any]


def events_of(events: Sequence[Event], one: Handover) -> str:
    """What the event log says of a handover, for whoever looks for the cause."""
    reported = [event for event in events if event["instance_id"] == one.instance_id]
    return "\n".join(f"  {e['at']} {e['pod']} {e['drain_id']} {e['outcome']} {reason_of(e)}" for e in reported)
