"""Who there is in the model: how pods are called, how their processes register, and who stands beside them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controller.domain.causes import MAX_FINISHED_AGE
from controller.domain.pods import Pod
from tests.flows.model_process import Process, Registration

LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Kind(StrEnum):
    """How a pod is called, and how its process registers."""

    named = "a generated name, which id and host name bear"
    by_address = "a generated name; id and host name are the address"
    random_id = "a generated name; the id is random"
    stateful = "a StatefulSet's name, which id and host name bear"
    stateful_by_address = "a StatefulSet's name; id and host name are the address"
    fixed_id = "a generated name; all pods of the app share one id, one after the other"
    shared_id = "a generated name; all replicas have one id at once, and their Service's name for their host name"
    host_network = "on its node's network"


ONE_AT_A_TIME = tuple(kind for kind in Kind if kind is not Kind.shared_id)


class StatedUid(StrEnum):
    """The pod's uid that the metadata of a registration state."""

    none = "none"
    own = "the pod's"
    another = "another pod's, copied from its manifest, say"


class Ending(StrEnum):
    """What a process does at its end."""

    silent = "silent"
    deregisters = "deregisters"


class StrangerKind(StrEnum):
    """A living process that the watch knows nothing of, and what it has in common with a pod of ours.

    The first ones are another cluster's, whose pod network overlaps; the last two are pods of this cluster in a
    namespace that is not watched, which got the address of a pod that is gone.
    """

    at_its_address = "another app and port, at its address"
    at_its_address_named = "the same app and port, at its address, under another pod's generated name"
    at_its_address_with_a_host_name = "another app and port, at its address, with a host name of its own"
    with_its_uid_stated = "the same app and port, at its address, with its own pod's uid stated"
    with_its_host_name = "the same app and host name, at another address"
    unwatched = "another app at the same port, at an address that was a pod's"
    unwatched_successor = "the same app, port and id, at an address that was a pod's"


UNWATCHED = frozenset({StrangerKind.unwatched, StrangerKind.unwatched_successor})


@dataclass(eq=False)
class Member:
    """A pod and its process."""

    pod: Pod
    kind: Kind
    slot: int
    process: Process
    stated_uid: StatedUid = StatedUid.none
    exists: bool = True
    asked_at: datetime | None = None
    """When it began to go."""
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
    def is_known_by_its_registration(self) -> bool:
        """Whether its registration alone says for certain that it is this pod's."""
        return self.stated_uid is StatedUid.own or self.kind in (Kind.named, Kind.random_id, Kind.fixed_id)

    def __repr__(self) -> str:
        return f"{self.pod.key} ({self.pod.uid}, {self.kind.name}), {self.process!r}"


@dataclass(eq=False)
class Stranger:
    """A living process that is none of our business."""

    kind: StrangerKind
    process: Process
    never_out: bool = True
    """It is not to be out even for a second; else it may be until its first heartbeats have shown whose it is."""

    def is_kept_from_us(self) -> None:
        """The end of the pod that had its address may be unknown by now."""
        self.never_out = self.never_out and self.kind not in UNWATCHED

    def __repr__(self) -> str:
        return f"a stranger ({self.kind.name}), {self.process!r}"


def name_of(kind: Kind, slot: int, number: int) -> str:
    """What such a pod is called; the number makes generated names different."""
    match kind:
        case Kind.stateful | Kind.stateful_by_address:
            return f"{'orders' if kind is Kind.stateful else 'stock'}-{slot % 2}"
        case Kind.host_network:
            return f"edge-{suffix_of(number)}"
        case Kind.fixed_id:
            return f"pay-7c9d8f6b5-{suffix_of(number)}"
        case Kind.shared_id:
            return f"billing-7c9d8f6b5-{suffix_of(number)}"
        case _:
            return f"web-7c9d8f6b5-{suffix_of(number)}"


def registration_of(
    kind: Kind, *, slot: int, number: int, address: str, uid: str = "", stated_uid: StatedUid = StatedUid.none
) -> Registration:
    """What the process of such a pod says of itself."""
    name = name_of(kind, slot, number)
    app = name.partition("-")[0]
    host, port = name, port_of(slot) if kind is Kind.host_network else 8080
    instance_id = f"{name}:{app}:{port}"
    match kind:
        case Kind.by_address | Kind.stateful_by_address:
            host, instance_id = address, f"{address}:{app}:{port}"
        case Kind.random_id:
            instance_id = f"{app}:{suffix_of(number) * 3}"
        case Kind.fixed_id:
            instance_id = "pay-main"
        case Kind.shared_id:
            host, instance_id = app, f"{app}:{port}"
        case Kind.host_network:
            host = node_of(slot)
            instance_id = f"{host}:{app}:{port}"
        case _:
            pass
    stated = {StatedUid.none: "", StatedUid.own: uid, StatedUid.another: "uid-of-another-pod"}[stated_uid]
    return Registration(
        app=app.upper(),
        id=instance_id,
        ip=address,
        host=host,
        port=port,
        pod_uid=stated,
        shares_id=kind is Kind.shared_id,
    )


def stranger_registration(kind: StrangerKind, beside: Registration, number: int) -> Registration:
    """What such a stranger says of itself, beside this registration of ours."""
    address, app = beside.ip, beside.app
    match kind:
        case StrangerKind.at_its_address:
            return Registration(app="LEDGER", id=f"{address}:ledger:9090", ip=address, host=address, port=9090)
        case StrangerKind.at_its_address_named:
            name = f"{app.lower()}-5d4c8f7b6-{suffix_of(number)}"
            return Registration(app=app, id=f"{name}:{app.lower()}:8080", ip=address, host=name, port=beside.port)
        case StrangerKind.at_its_address_with_a_host_name:
            name = f"payments-6f7d9c8b5-{suffix_of(number)}"
            host = "payments.cluster-b.example.com"
            return Registration(app="PAYMENTS", id=f"{name}:payments:9090", ip=address, host=host, port=9090)
        case StrangerKind.with_its_uid_stated:
            stated = f"uid-in-cluster-b-{number}"
            return Registration(
                app=app, id=f"b-{number}:{app.lower()}", ip=address, host=address, port=beside.port, pod_uid=stated
            )
        case StrangerKind.with_its_host_name:
            there = f"10.2.{number // 200}.{number % 200 + 1}"
            return Registration(app=app, id=f"{there}:{app.lower()}:8080", ip=there, host=beside.host, port=beside.port)
        case StrangerKind.unwatched:
            return Registration(app="JOBS", id=f"{address}:jobs:8080", ip=address, host=address)
        case StrangerKind.unwatched_successor:
            return Registration(app=app, id=f"{address}:{app.lower()}:8080", ip=address, host=address)


def suffix_of(number: int) -> str:
    """Five characters as Kubernetes draws them, other ones for each number."""
    text = ""
    for _ in range(5):
        number, digit = divmod(number, len(LETTERS))
        text = LETTERS[digit] + text
    return text


def node_of(slot: int) -> str:
    """The node of such a pod."""
    return ("node-a", "node-b")[slot % 2]


def port_of(slot: int) -> int:
    """Its port on its node's network."""
    return 8080 + slot // 2 % 2
