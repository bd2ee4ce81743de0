"""Whose instance it is: every doubt ends without a write."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.annotations import PodAnnotations
from controller.domain.ownership import Foreign, Owned, TakenOver, Unsettled, names_the_pod, ownership_of
from controller.domain.reason import ReasonCode
from tests.unit.building import POD_IP, a_command, a_living_pod, a_pod, a_target, an_instance, at, terminating

NEIGHBOUR = {"host_name": "orders-9", "ip": "10.1.0.99"}
ON_NODE = terminating(a_pod(host_network=True, ip="192.168.0.4", node="node-a", ports=(8080,)))
AT_NODE = {"ip": "192.168.0.4", "host_name": "node-a"}


def verdict(instance: dict[str, Any], *, living: tuple[Any, ...] = (), **facts: Any) -> type:
    return type(ownership_of(an_instance(**instance), a_command(living=living, **facts), PodAnnotations()))


@pytest.mark.parametrize(
    "instance",
    [
        {},
        {"host_name": "orders.example.org"},
        {"host_name": POD_IP},
        {"ip": ""},
        {"ip": "", "host_name": "ORDERS-0"},
        {"ip": "127.0.0.1"},
        {"registered_at": None},
        {"registered_at": at(59)},
    ],
    ids=str,
)
def test_what_stands_at_the_pods_address_or_host_name_alone_is_its_own(instance: dict[str, Any]) -> None:
    assert verdict(instance) is Owned


@pytest.mark.parametrize(
    "instance",
    [
        NEIGHBOUR,
        {"ip": "", "host_name": "", "id": "x"},
        {"ip": "10.1.0.70", "host_name": ""},
        {"ip": "", "host_name": "orders-01", "id": "x"},
    ],
    ids=str,
)
def test_what_stands_elsewhere_is_somebody_elses(instance: dict[str, Any]) -> None:
    assert verdict(instance) is Foreign


def test_a_pod_without_an_address_does_not_own_what_has_none() -> None:
    pod = terminating(a_pod(ip=""))
    assert isinstance(
        ownership_of(an_instance(ip="", host_name="x", id="x"), a_command(pod), PodAnnotations()), Foreign
    )


@pytest.mark.parametrize("seconds", [34, 3600])
def test_what_was_registered_after_the_pods_end_is_settled_by_heartbeats(seconds: int) -> None:
    assert verdict({"registered_at": at(seconds)}, gone_at=at(30)) is Unsettled


@pytest.mark.parametrize("seconds", [31, 3600])
def test_what_is_registered_while_the_pod_may_run_is_its_own(seconds: int) -> None:
    # Its deadline is no end: a finalizer, a lost node or a slow kubelet keeps it.
    assert verdict({"registered_at": at(seconds)}) is Owned


@pytest.mark.parametrize(("dirty", "expected"), [(at(-3590), Owned), (at(500), TakenOver)])
def test_a_copy_of_the_pods_registration_is_its_own_and_a_new_one_is_not(dirty: Any, expected: type) -> None:
    found = an_instance(registered_at=at(500), dirty_at=dirty)
    target = a_target(last_dirty_at=at(-3590))
    assert type(ownership_of(found, a_command(gone_at=at(30)), PodAnnotations(), target)) is expected


@pytest.mark.parametrize(
    ("created", "registered", "expected"),
    [
        (at(20), at(-3590), Owned),
        (at(20), at(25), TakenOver),
        (at(20), at(0), Unsettled),  # within the clocks' skew nothing can be known
        (None, at(-3590), TakenOver),
        (at(20), None, TakenOver),
    ],
    ids=["before the successor", "by the successor", "in doubt", "successor of unknown age", "of unknown age"],
)
def test_a_living_pod_at_the_same_address_owns_what_it_may_have_registered(
    created: Any, registered: Any, expected: type
) -> None:
    successor = a_living_pod(ip=POD_IP, created_at=created)
    assert verdict({"registered_at": registered, "renewed_at": at(200)}, living=(successor,)) is expected


def test_what_has_never_renewed_beside_a_living_pod_may_be_a_copy() -> None:
    command = a_command(living=(a_living_pod(ip=POD_IP, created_at=at(20)),))
    copied, late, renewed = (an_instance(registered_at=at(25), renewed_at=at(when)) for when in (25, 155, 165))
    assert isinstance(ownership_of(copied, command, PodAnnotations()), Unsettled)
    assert isinstance(ownership_of(late, command, PodAnnotations()), Unsettled), "a peer may have passed it on late"
    assert isinstance(ownership_of(renewed, command, PodAnnotations()), TakenOver)
    written = a_target(written_at=at(30))
    assert isinstance(ownership_of(renewed, command, PodAnnotations(), written), Unsettled), "a write renews, too"


def test_a_successor_that_took_over_name_and_id_at_a_new_address_owns_them() -> None:
    successor = a_living_pod(name="orders-0", ip="10.1.0.50", host_names=("orders-0",), created_at=at(5))
    assert verdict({"ip": "10.1.0.50", "registered_at": at(12)}, living=(successor,)) in (TakenOver, Foreign)
    assert verdict({}, living=(successor,)) is Owned


def test_a_living_pods_address_speaks_against_a_host_name() -> None:
    other = a_living_pod(ip="10.1.0.50", host_names=("cart-0",))
    assert verdict({"ip": "10.1.0.50"}, living=(other,)) is not Owned


def test_a_successor_registered_before_the_deadline_is_not_the_old_pod() -> None:
    # A StatefulSet's pod with 30 s of grace ends after 2 s; the next orders-0 registers at 12 s, before the deadline.
    # The command was written at 0 s, when there was no successor to name; the worker was late.
    assert verdict({"ip": "10.1.0.50", "registered_at": at(12)}) is not Owned


def test_a_host_name_that_others_have_too_proves_nothing_elsewhere() -> None:
    # Every namespace and every cluster may have an orders-0, and the watch does not know them all.
    assert verdict({"ip": "172.20.0.5", "host_name": "orders-0"}) is not Owned


@pytest.mark.parametrize(
    ("of_pod", "of_instance"),
    [
        ("fd00::1:7", "fd00:0:0:0:0:0:1:7"),
        ("fd00::1:7", "fd00:0:0:0:0:0:1:7%eth0"),
        ("fd00::a", "FD00::A"),
    ],
)
def test_the_same_address_written_in_another_way_is_the_same(of_pod: str, of_instance: str) -> None:
    # Java writes an IPv6 address in full, the API server in short.
    command = a_command(terminating(a_pod(ip=of_pod)))
    assert isinstance(ownership_of(an_instance(ip=of_instance, host_name="x"), command, PodAnnotations()), Owned)


@pytest.mark.parametrize(
    ("instance", "annotations", "expected"),
    [
        ({"port": 8080}, PodAnnotations(), Owned),
        ({"port": 9090}, PodAnnotations(), Foreign),
        ({"port": 0}, PodAnnotations(), Foreign),
        ({"port": 9090}, PodAnnotations(port=9090), Owned),
        ({"port": 8080}, PodAnnotations(port=9090), Owned),
        ({"port": 0, "id": "x"}, PodAnnotations(instance_id="x"), Owned),
        ({"port": 0, "id": "y"}, PodAnnotations(instance_id="x"), Foreign),
        ({"ip": "192.168.0.5", "host_name": "node-b", "id": "x"}, PodAnnotations(instance_id="x"), Foreign),
        ({"registered_at": at(100)}, PodAnnotations(), Owned),
    ],
    ids=str,
)
def test_on_its_nodes_network_a_pod_needs_its_port_or_an_explicit_id(
    instance: dict[str, Any], annotations: PodAnnotations, expected: type
) -> None:
    found = an_instance(**{**AT_NODE, **instance})
    assert type(ownership_of(found, a_command(ON_NODE), annotations)) is expected


@pytest.mark.parametrize(
    ("created", "ports", "expected"),
    [(at(20), (8080,), TakenOver), (at(20), (9090,), Owned), (at(-7200), (8080,), TakenOver)],
)
def test_on_a_node_the_port_of_a_living_pod_is_not_touched(
    created: Any, ports: tuple[int, ...], expected: type
) -> None:
    other = a_living_pod(ip="192.168.0.4", host_names=("node-a",), host_network=True, ports=ports, created_at=created)
    found = an_instance(**AT_NODE, registered_at=at(25), renewed_at=at(200))
    assert type(ownership_of(found, a_command(ON_NODE, living=(other,)), PodAnnotations())) is expected


def test_an_annotation_gives_no_power_over_an_instance_at_another_address() -> None:
    victim = an_instance(id="victim", app="BANK", **NEIGHBOUR)
    assert isinstance(
        ownership_of(victim, a_command(), PodAnnotations(app="BANK", instance_id="victim", port=8080)), Foreign
    )


def test_a_reason_is_given_for_each_refusal() -> None:
    foreign = ownership_of(an_instance(**NEIGHBOUR), a_command(), PodAnnotations())
    newer = ownership_of(an_instance(registered_at=at(100), ip="10.1.0.99"), a_command(), PodAnnotations())
    assert isinstance(foreign, Foreign)
    assert foreign.reason.code is ReasonCode.not_its_own
    assert "10.1.0.99" in foreign.reason.detail
    assert isinstance(newer, TakenOver)
    assert newer.reason.code is ReasonCode.taken_over
    assert newer.reason.detail


@given(name=st.text("ab1-.", min_size=1, max_size=4), instance_id=st.text("aAb1-.:é", max_size=12))
def test_an_id_names_a_pod_by_its_name_as_a_whole(name: str, instance_id: str) -> None:
    whole = rf"(?<![0-9a-z]){re.escape(name)}(?![0-9a-z])"
    found = names_the_pod(instance_id, a_pod(name=name, ip="10.9.9.9"))
    assert found == bool(re.search(whole, instance_id.lower()))


@pytest.mark.parametrize("mirror", [True, False])
def test_only_a_static_pod_may_be_older_than_its_object(mirror: bool) -> None:
    pod = terminating(a_pod(name="edge-node-a", mirror=mirror, created_at=at(-600)))
    own = an_instance(id="edge-node-a:edge:8080", app="EDGE", host_name="edge-node-a", registered_at=at(-3600))
    assert isinstance(ownership_of(own, a_command(pod), PodAnnotations()), Owned) is mirror
