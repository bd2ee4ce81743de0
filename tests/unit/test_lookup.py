"""What the index offers for a pod, and what it does not."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.instances import Instance
from controller.domain.pods import Pod
from controller.eureka.lookup import Lookup
from tests.unit.building import a_pod, an_instance, at

STRANGER: dict[str, Any] = {"id": "payments:9090", "ip": "10.9.9.9", "host_name": "payments", "app": "PAYMENTS"}


def offered(pod: Pod, *instances: Instance) -> tuple[Instance, ...]:
    lookup = Lookup()
    deque(lookup.add(instances), maxlen=0)
    for _ in lookup.arrange():
        pass
    return lookup.candidates(pod)


POD = a_pod(
    name="orders-7cd9c4fbcc-nlttw",
    uid="3F1B-2c4d",
    ip="fd00:10::7",
    ips=("fd00:10::7", "10.1.0.7"),
    subdomain="orders",
)


@pytest.mark.parametrize(
    "signs",
    [
        {"ip": "10.1.0.7"},
        {"ip": "fd00:10::7"},
        {"host_name": "10.1.0.7", "ip": "127.0.0.1"},
        {"host_name": "FD00:10:0:0:0:0:0:7%eth0", "ip": ""},
        {"host_name": "orders-7cd9c4fbcc-nlttw"},
        {"host_name": "ORDERS-7CD9c4fbcc-nlttw"},
        {"host_name": "orders-7cd9c4fbcc-nlttw.cluster-b.example.com"},
        {"id": "orders-7cd9c4fbcc-nlttw:orders:8080"},
        {"id": "eu/orders-7cd9c4fbcc-nlttw@orders, 8080"},
        {"id": "orders-7cd9c4fbcc-nlttw"},
        {"id": "orders-7cd9c4fbcc-nlttw.orders.shop.svc.cluster.local:orders:8080"},
        {"pod_uid": "3f1b2c4d"},
    ],
    ids=str,
)
def test_every_sign_of_the_pod_makes_a_candidate(signs: dict[str, Any]) -> None:
    found = an_instance(**{**STRANGER, **signs})
    assert offered(POD, an_instance(**STRANGER), found) == (found,)


@pytest.mark.parametrize(
    "signs",
    [
        {},
        {"host_name": "orders-7cd9c4fbcc-nlttw2"},
        {"id": "xorders-7cd9c4fbcc-nlttw:orders:8080"},
        {"pod_uid": "?"},
        {"pod_uid": "3f1b2c4d0"},
        {"ip": "10.1.0.70"},
        {"ip": "", "host_name": ""},
    ],
    ids=str,
)
def test_what_bears_no_sign_of_the_pod_is_no_candidate(signs: dict[str, Any]) -> None:
    assert offered(POD, an_instance(**{**STRANGER, **signs})) == ()
    assert offered(a_pod(ip="", hostname=""), an_instance(**{**STRANGER, **signs})) == ()


def test_a_node_name_is_a_host_name_of_a_pod_on_its_network() -> None:
    found = an_instance(**{**STRANGER, "host_name": "Node-A"})
    assert offered(a_pod(host_network=True, ip="10.0.0.1"), found) == (found,)


def test_short_names_and_numbers_distinguish_nobody() -> None:
    instances = [an_instance(id=f"a:{number}:8080", ip="", host_name="a") for number in range(3)]
    assert offered(a_pod(name="8080", ip=""), *instances) == ()
    assert offered(a_pod(name="a", ip=""), *instances) == ()


def test_every_holder_of_an_id_is_offered_once_and_the_latest_last() -> None:
    old = an_instance(ip="10.2.0.9", registered_at=at(-50), dirty_at=at(-51))
    older = an_instance(ip="10.2.0.9", registered_at=at(-99), dirty_at=at(-100))
    own = an_instance(registered_at=at(-60))
    told = an_instance(registered_at=at(-70), pod_uid="abc")
    elsewhere = an_instance(app="OTHER", ip="10.2.0.8", host_name="x")
    lookup = Lookup()
    copied = replace(own, registered_at=at(-20))
    deque(lookup.add([old, elsewhere, copied]), maxlen=0)
    deque(lookup.add([older, own, told]), maxlen=0)
    list(lookup.arrange())
    found = lookup.candidates(a_pod())
    assert found == (elsewhere, told, own, old)
    assert set(lookup.holders(found)) == {own, old, told, elsewhere}
    assert set(lookup.everything()) == {old, elsewhere}


def test_a_monstrous_id_is_not_taken_apart() -> None:
    monster = an_instance(id=":".join(f"orders-{number}" for number in range(10_000)), ip="10.9.9.9", host_name="x")
    assert offered(a_pod(), monster) == ()
