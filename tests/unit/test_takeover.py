"""Which process has taken an id over, and when the override on it is lifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.annotations import PodAnnotations
from controller.domain.causes import Cause
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import OUT_OF_SERVICE, Condition
from controller.domain.restore import LookAgain, Restored, decide_restore, may_have_taken_over
from controller.domain.stage_decisions import GiveBack, Obstructed
from tests.unit.building import POD_IP, a_pod, an_instance, at, out, readings

NEW_IP = "10.1.0.99"
TAKEN = HeldInstance(
    drain_id="d",
    region="eu",
    app="ORDERS",
    id="orders-0:orders:8080",
    cause=Cause.terminating,
    namespace="shop",
    pod="orders-0",
    uid="uid-1",
    ip=POD_IP,
    since_at=at(0),
    out_at=at(1),
)
HEIR = a_pod("uid-2", ip=NEW_IP, created_at=at(40))
HELD = out(ip=NEW_IP, registered_at=at(50))
UP = an_instance(ip=NEW_IP, registered_at=at(50))
STARTING = replace(HELD, status="STARTING")
SPLIT = replace(UP, status=OUT_OF_SERVICE)
OLD = out()


def decide(
    *answers: Any, pod: Any = HEIR, held: HeldInstance = TAKEN, annotations: PodAnnotations | None = None
) -> object:
    return decide_restore(held, pod, annotations or PodAnnotations(), readings(*answers))


@pytest.mark.parametrize(
    ("answers", "decision"),
    [
        ((HELD, HELD), GiveBack()),
        ((HELD, UP), GiveBack()),
        ((HELD, None), GiveBack()),
        ((HELD, Condition.unreachable), GiveBack()),
        ((UP, SPLIT), GiveBack()),
        ((UP, UP), Restored()),
        ((SPLIT, SPLIT), Restored()),
    ],
)
def test_our_override_is_lifted_at_every_node_and_no_status_of_its_own(
    answers: tuple[Any, ...], decision: object
) -> None:
    assert decide(*answers) == decision


@pytest.mark.parametrize("answers", [(STARTING, HELD), (HELD, OLD), (OLD, OLD), (None, None), (UP, None)])
def test_it_is_read_again_until_every_node_shows_the_new_process_started(answers: tuple[Any, ...]) -> None:
    assert isinstance(decide(*answers), LookAgain)


def test_a_node_that_does_not_answer_is_waited_for() -> None:
    assert isinstance(decide(UP, Condition.unreachable), Obstructed)


def test_at_one_address_it_must_be_younger_than_both_the_drain_and_the_pod() -> None:
    reused = a_pod("uid-2", name="other", created_at=at(5))
    at_the_address = {"id": f"{POD_IP}:orders:8080", "host_name": POD_IP}
    early, later = (out(registered_at=at(when), **at_the_address) for when in (-1, 7))
    assert isinstance(decide(early, pod=reused), LookAgain), "a short-lived pod's own registration"
    assert isinstance(decide(later, pod=reused), GiveBack)
    assert isinstance(decide(later, pod=replace(reused, created_at=at(500))), LookAgain)


def test_a_dead_ones_copy_at_a_restarted_node_is_nobodys_takeover() -> None:
    reused, held = a_pod("uid-2", created_at=at(5)), replace(TAKEN, dirty_at=at(-3590))
    assert isinstance(decide(out(registered_at=at(50)), pod=reused, held=held), LookAgain)
    assert isinstance(decide(out(registered_at=at(50), dirty_at=at(49)), pod=reused, held=held), GiveBack)


def test_on_the_nodes_network_the_port_or_an_explicit_id_speaks_for_it() -> None:
    shared = a_pod("uid-2", name="other", host_network=True, ports=(9090,), created_at=at(40))
    registered = out(registered_at=at(50))
    assert isinstance(decide(registered, pod=shared), LookAgain)
    assert isinstance(decide(registered, pod=shared, annotations=PodAnnotations(instance_id=registered.id)), GiveBack)
    assert isinstance(decide(registered, pod=replace(shared, ports=(8080,))), GiveBack)


def test_the_very_pod_comes_back_only_from_a_lost_node() -> None:
    back = a_pod()
    assert not may_have_taken_over(back, TAKEN)
    lost = replace(TAKEN, cause=Cause.node_lost)
    assert may_have_taken_over(back, lost)
    assert isinstance(decide(out(), pod=back, held=lost), GiveBack)


def test_a_nodes_address_is_held_by_recent_pods_of_the_workload_only() -> None:
    shared = a_pod("uid-2", name="agent-x2k4q", host_network=True, created_at=at(40))
    taken = replace(TAKEN, pod="agent-nlttw")
    assert may_have_taken_over(shared, taken)
    assert not may_have_taken_over(replace(shared, created_at=at(-3600)), taken)
    assert not may_have_taken_over(replace(shared, namespace="elsewhere"), taken)
    assert not may_have_taken_over(replace(shared, name="proxy-x2k4q"), taken)
    assert not may_have_taken_over(replace(shared, ip=""), taken)


@pytest.mark.parametrize("ip", ["", "127.0.0.1", "192.168.0.4"])
def test_the_old_registration_without_an_address_is_not_given_back(ip: str) -> None:
    heir = replace(HEIR, host_ips=("192.168.0.4",))
    old, new = out(ip=ip), out(ip=ip, registered_at=at(50), renewed_at=at(140))
    assert isinstance(decide(old, old, pod=heir), LookAgain)
    assert decide(new, new, pod=heir) == GiveBack()


def test_the_old_registration_at_a_second_address_is_not_given_back() -> None:
    heir = replace(HEIR, ip="fd00:10::7", ips=("fd00:10::7", POD_IP))
    assert isinstance(decide(OLD, OLD, pod=heir, held=replace(TAKEN, ip="fd00:10::7")), LookAgain)
