"""What the index offers for a pod: every registration that bears some sign of it. Pure; whose it is, others decide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from controller.bounds import INDEX_ROOM, MAX_CANDIDATES
from controller.domain.addressing import MAX_SEGMENT_LENGTH, address_in, address_spelled_by
from controller.domain.evidence import names_in, plain_uid
from controller.domain.instances import Instance
from controller.domain.pods import Pod
from controller.eureka.registry_reader import cost_of, too_many

MIN_NAME_LENGTH = 3
"""Characters; what is shorter distinguishes nobody."""
TOGETHER = 200
"""Instances that are worked on before others have their turn."""
_NUMBERS = re.compile(r"[\d.]+", re.ASCII)
"""Ports, and IPv4 addresses, which have an index of their own."""

_Facts = tuple[str, str, str, str, str]


class _Index:
    """Registrations by a text. Nearly always there is one for a text: it stands alone, without a list of its own."""

    def __init__(self) -> None:
        self._found: dict[str, Instance | list[Instance]] = {}

    def add(self, key: str, instance: Instance) -> None:
        known = self._found.setdefault(key, instance)
        if isinstance(known, list):
            known.append(instance)
        elif known is not instance:
            self._found[key] = [known, instance]

    def at(self, key: str) -> Sequence[Instance]:
        found = self._found.get(key, ())
        return (found,) if isinstance(found, Instance) else found

    def everything(self) -> Iterable[Instance | list[Instance]]:
        """Return each of them, or the list of those that share a text."""
        return self._found.values()


class Lookup:
    """Registrations by what may link them to a pod."""

    def __init__(self, *, room: int = INDEX_ROOM) -> None:
        self._room = room
        self.cost = 0
        """Bytes that it takes while another one is made."""
        self._held: dict[_Facts, Instance] = {}
        self._by_address = _Index()
        self._by_name = _Index()
        self._by_pod_uid = _Index()
        self._by_id = _Index()

    def add(self, instances: Iterable[Instance]) -> Iterator[None]:
        """Add what a node shows; yields now and then. RegistryError when it is more than there is room for.

        Nodes may show different holders of one id: each of them is kept, by what tells holders apart, and of each the
        latest registration, with its first lease.
        """
        for number, instance in enumerate(instances):
            if number % TOGETHER == TOGETHER - 1:
                yield
            facts = (instance.app, instance.id, instance.ip, instance.host_name, instance.pod_uid)
            known = self._held.get(facts)
            if known is None:
                self.cost += cost_of(instance)
                if self.cost > self._room:
                    raise too_many(len(self._held), self._room)
            if known is None:
                self._held[facts] = instance
            elif instance.dirty_at is None or known.dirty_at != instance.dirty_at:
                self._held[facts] = max(known, instance, key=_registered)
            else:
                self._held[facts] = min(known, instance, key=_registered)

    def arrange(self) -> Iterator[None]:
        """Make what was added findable; yields now and then, since a large registry takes a while."""
        instances, self._held = self._held, {}
        for number, instance in enumerate(instances.values()):
            self._by_id.add(instance.id, instance)
            for address in _addresses(instance):
                self._by_address.add(address, instance)
            for name in _names(instance):
                self._by_name.add(name, instance)
            if instance.pod_uid:
                self._by_pod_uid.add(instance.pod_uid, instance)
            if number % TOGETHER == TOGETHER - 1:
                yield
        for number, holders in enumerate(self._by_id.everything()):
            if isinstance(holders, list):
                holders.sort(key=_registered)
            if number % TOGETHER == TOGETHER - 1:
                yield

    def candidates(self, pod: Pod) -> tuple[Instance, ...]:
        """Return what stands at the pod's addresses, bears its name, or tells its uid; the latest registration last."""
        names = {name.lower() for name in (pod.name, pod.hostname, *pod.host_names) if name}
        uid = plain_uid(pod.uid)
        addresses = (*pod.addresses, *(pod.host_ips if pod.host_ports else ()))
        found = {
            id(instance): instance
            for index, keys in (
                (self._by_address, {address_in(address) for address in addresses}),
                (self._by_name, names),
                (self._by_pod_uid, {uid}),
            )
            for key in keys
            for instance in islice(index.at(key), MAX_CANDIDATES)
        }
        return tuple(sorted(found.values(), key=_registered))

    def holders(self, candidates: Iterable[Instance]) -> tuple[Instance, ...]:
        """Return every registration under the candidates' ids, in any app."""
        ids = {candidate.id for candidate in candidates}
        return tuple(holder for instance_id in ids for holder in islice(self._by_id.at(instance_id), MAX_CANDIDATES))

    def everything(self) -> Iterator[Instance]:
        """Return one registration of each app and id: the latest, where nodes differ."""
        for holders in self._by_id.everything():
            if isinstance(holders, Instance):
                yield holders
            else:
                yield from {holder.app: holder for holder in holders}.values()


def _addresses(instance: Instance) -> set[str]:
    """Return where a registration points: many clients register their address for their host name, too."""
    host_name = instance.host_name
    if host_name == instance.ip:
        return {instance.ip} - {""}
    return {instance.ip, address_in(host_name), address_spelled_by(host_name)} - {""}


def _names(instance: Instance) -> set[str]:
    """Return by which names a registration may be a pod's: host name, the words of its id, as far as they distinguish.

    >>> sorted(_names(Instance(app="ORDERS", id="10.1.0.7:orders-0:8080", host_name="orders-0.orders.shop.svc")))
    ['orders-0', 'orders-0.orders.shop.svc']
    """
    if max(len(instance.host_name), len(instance.id)) > MAX_SEGMENT_LENGTH:
        return set()
    return {name for name in names_in(instance) if len(name) >= MIN_NAME_LENGTH and not _NUMBERS.fullmatch(name)}


def _registered(instance: Instance) -> float:
    return instance.registered_at.timestamp() if instance.registered_at else 0.0
