"""What a sweep suspects, and what it finds."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from controller.domain.annotations import PodAnnotations
from controller.domain.events import Outcome, make_event
from controller.domain.instances import Condition
from controller.domain.orphans import (
    LivingAddresses,
    Orphan,
    Provenance,
    Suspect,
    command_of,
    confirm_suspect,
    suspects,
)
from controller.domain.ownership import Owned, ownership_of
from controller.domain.silence import renewals
from tests.unit.building import a_command, a_pod, a_target, an_instance, at, out, readings

LEFT = an_instance(id="left", ip="10.1.0.50", host_name="left", renewed_at=at(-100))
SUSPECT = Suspect(region="eu", instance=LEFT, evidence="pod_cidrs: 10.1.0.0/16")
NOBODY = LivingAddresses([])


def evidence(*events: Any, cidrs: tuple[str, ...] = ()) -> Provenance:
    found = Provenance("test", [ip_network(text) for text in cidrs])
    for event in events:
        found.apply(event)
    return found


def ids(known: Provenance, *pods: Any, registry: Any = (LEFT,)) -> list[str]:
    return [suspect.instance.id for suspect in suspects("eu", registry, pods, known)]


def test_without_evidence_nothing_is_even_named() -> None:
    assert ids(evidence()) == []
    assert ids(evidence(cidrs=("10.2.0.0/16",))) == []
    assert ids(evidence(cidrs=("10.1.0.0/16",))) == ["left"]


def test_a_pod_holds_its_address_and_names_until_it_has_ended() -> None:
    known = evidence(cidrs=("10.1.0.0/16",))
    assert ids(known, a_pod(ip="10.1.0.50")) == []
    assert ids(known, a_pod(name="left", ip="10.1.0.51")) == []
    assert ids(known, a_pod(ip="10.1.0.50", phase="Failed")) == ["left"]


def test_the_log_is_evidence_for_what_was_registered_before_it_spoke() -> None:
    pod = a_pod(ip="10.1.0.50")
    asked = make_event(a_command(pod), Outcome.requested, at(0))
    assert ids(evidence(asked)) == ["left"]
    later = replace(LEFT, registered_at=at(100))
    assert ids(evidence(asked), registry=(later,)) == [], "the address is another's by now"
    elsewhere = replace(asked, cluster="other")
    assert ids(evidence(elsewhere)) == []


def test_what_a_drain_holds_is_shown_as_such_and_not_drained() -> None:
    target = a_target(app="ORDERS", id="left", ip="10.1.0.50")
    held = make_event(a_command(a_pod(ip="10.1.0.50")), Outcome.out_of_service, at(0), target=target)
    [suspect] = suspects("eu", (LEFT,), (), evidence(held))
    assert confirm_suspect(suspect, readings(LEFT), readings(LEFT), NOBODY).doubt == "being drained"
    let_go = readings(out(id="left", ip="10.1.0.50"))
    assert confirm_suspect(suspect, let_go, let_go, NOBODY).doubt == "out of service already"


@pytest.mark.parametrize(
    ("first", "second", "doubt"),
    [
        ((LEFT, LEFT), (LEFT, LEFT), ""),
        ((LEFT, LEFT), (LEFT, replace(LEFT, renewed_at=at(30))), "heartbeats"),
        ((LEFT, LEFT), (LEFT, Condition.unreachable), "no usable answer"),
        ((LEFT, Condition.failing), (LEFT, LEFT), "no usable answer"),
        ((LEFT, LEFT), (replace(LEFT, ip="10.1.0.60"), LEFT), "address has changed"),
        ((out(id="left", ip="10.1.0.50"),), (out(id="left", ip="10.1.0.50"),), "out of service already"),
    ],
)
def test_two_looks_decide(first: tuple[Any, ...], second: tuple[Any, ...], doubt: str) -> None:
    finding = confirm_suspect(SUSPECT, readings(*first), readings(*second), NOBODY)
    assert doubt in finding.doubt
    assert bool(doubt) == bool(finding.doubt)


def test_what_went_by_itself_needs_no_drain_and_a_new_pod_is_a_doubt() -> None:
    assert confirm_suspect(SUSPECT, readings(LEFT), readings(None), NOBODY).doubt == "gone meanwhile"
    finding = confirm_suspect(SUSPECT, readings(LEFT), readings(LEFT), LivingAddresses([a_pod(ip="10.1.0.50")]))
    assert "a pod has come" in finding.doubt


def test_the_command_drains_this_instance_and_none_that_registers_later() -> None:
    finding = Orphan(suspect=SUSPECT, renewals=renewals(readings(LEFT, LEFT)))
    command = command_of(finding, "test", at(0), at(40))
    assert command.requested_by == "sweep"
    assert command.progress is not None
    [target] = command.progress.targets
    assert (target.app, target.id, target.renewals) == ("ORDERS", "left", finding.renewals)
    assert isinstance(ownership_of(LEFT, command, PodAnnotations()), Owned)
    assert not isinstance(ownership_of(replace(LEFT, registered_at=at(100)), command, PodAnnotations()), Owned)
    again = command_of(finding, "test", at(0), at(50))
    assert again.drain_id == command.drain_id, "a second sweep asks for the same drain"
