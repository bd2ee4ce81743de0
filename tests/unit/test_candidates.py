"""From what stands in the registry to the pod's own instances."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.domain.annotations import PodAnnotations
from controller.domain.candidates import MAX_INSTANCES, Resolution, resolve
from controller.domain.evidence import plain_uid
from controller.domain.instances import Instance
from controller.domain.reason import ReasonCode
from tests.unit.building import POD_IP, a_command, a_living_pod, a_pod, a_progress, an_instance, at, terminating


def resolved(
    *candidates: Instance, annotations: PodAnnotations | None = None, holders: tuple[Instance, ...] = (), **facts: Any
) -> Resolution:
    return resolve(a_command(**facts), annotations or PodAnnotations(), candidates, (*candidates, *holders))


def test_each_of_several_instances_of_one_pod_is_its_own() -> None:
    several = (an_instance(), an_instance(app="ADMIN", id="a", port=8081), an_instance(id="b", port=8082))
    assert resolved(*several).own == several


def test_another_app_with_its_address_and_port_by_chance_is_left_alone() -> None:
    # Two clusters, one registry, pod networks that overlap, and prefer-ip in both.
    own = an_instance(id=f"{POD_IP}:orders:8080", host_name=POD_IP)
    other = an_instance(app="PAYMENTS", id=f"{POD_IP}:payments:8080", host_name=POD_IP)
    assert resolved(own, other, pod=a_pod(app_label="orders")).own == (own,)


@pytest.mark.parametrize("sign", ["name", "uid"])
def test_another_app_there_is_left_alone_beside_one_that_is_surely_its_own(sign: str) -> None:
    pod = a_pod(name="orders-7cd9c4fbcc-nlttw", hostname="orders-7cd9c4fbcc-nlttw")
    shown = {"host_name": pod.name} if sign == "name" else {"host_name": POD_IP, "pod_uid": plain_uid(pod.uid)}
    own = an_instance(id="orders:4f1c", **shown)
    other = an_instance(app="PAYMENTS", id=f"{POD_IP}:payments:8080", host_name=POD_IP)
    assert resolved(own, other, pod=pod).own == (own,)


def test_once_its_own_was_found_another_app_there_is_left_alone() -> None:
    own = an_instance(id=f"{POD_IP}:orders:8080", host_name=POD_IP)
    other = an_instance(app="PAYMENTS", id=f"{POD_IP}:payments:8080", host_name=POD_IP)
    facts: dict[str, Any] = {
        "pod": a_pod(app_label="orders"),
        "progress": replace(a_progress(), found=((own.app, own.id),), found_ports=own.ports),
    }
    assert resolved(other, **facts).own == ()
    elsewhere = replace(other, port=8081)
    both = a_pod(app_label="orders", ports=(8080, 8081))
    assert resolved(elsewhere, **facts | {"pod": both}).own == (elsewhere,), "no port is held twice"
    again = replace(own, id="orders-again")
    assert resolved(again, **facts).own == (again,)


def test_two_that_only_their_ids_tell_apart_are_both_left_alone() -> None:
    # Each machine may say of itself that it is at a loopback address; the template gives both the same host name.
    one, two = (an_instance(id=f"orders:{number}", ip="127.0.0.1", host_name="orders") for number in "12")
    pod = a_pod(name="orders-7cd9c4fbcc-nlttw", hostname="orders", app_label="orders")
    assert resolved(one, two, pod=pod).own == ()


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (PodAnnotations(), ["x", "y"]),
        (PodAnnotations(app="ORDERS"), ["x"]),
        (PodAnnotations(instance_id="y"), ["y"]),
        (PodAnnotations(port=8081), ["y"]),
        (PodAnnotations(app="ORDERS", instance_id="y"), []),
    ],
    ids=str,
)
def test_annotations_narrow_the_search(annotations: PodAnnotations, expected: list[str]) -> None:
    found = resolved(an_instance(id="x"), an_instance(app="ADMIN", id="y", port=8081), annotations=annotations)
    assert [instance.id for instance in found.own] == expected
    assert found.rejected == ()


def test_an_instance_without_a_port_is_not_excluded_by_an_annotated_one() -> None:
    assert resolved(an_instance(port=0), annotations=PodAnnotations(port=9090)).own


def test_an_annotation_that_names_somebody_elses_id_is_refused() -> None:
    victim = an_instance(id="victim", ip="10.1.0.99", host_name="bank-0")
    found = resolved(victim, annotations=PodAnnotations(instance_id="victim"))
    assert found.own == ()
    [rejected] = found.rejected
    assert rejected.instance is victim
    assert rejected.reason.code is ReasonCode.not_its_own
    assert not rejected.is_taken_over


def test_an_id_that_is_somebody_elses_in_another_app_is_ambiguous() -> None:
    other = an_instance(app="BANK", ip="10.1.0.99", host_name="bank-0")
    found = resolved(an_instance(), holders=(other,))
    assert found.own == ()
    [rejected] = found.rejected
    assert rejected.reason.code is ReasonCode.ambiguous
    assert "BANK" in rejected.reason.detail


def test_an_id_that_lives_in_two_apps_of_the_same_pod_is_drained_in_both() -> None:
    both = (an_instance(), an_instance(app="ADMIN"))
    assert resolved(*both).own == both


def test_an_id_that_a_newer_process_holds_in_another_app_is_refused() -> None:
    newer = an_instance(app="BANK", registered_at=at(500), ip="10.1.0.99")
    assert resolved(an_instance(), holders=(newer,)).own == ()


@pytest.mark.parametrize(
    "facts",
    [
        {"id": "a/b"},
        {"id": ".."},
        {"id": "."},
        {"id": ""},
        {"id": "x" * 600},
        {"id": "a\nb"},
        {"app": "A/B"},
        {"app": ".."},
    ],
    ids=str,
)
def test_what_cannot_be_addressed_is_refused_in_one_short_line(facts: dict[str, str]) -> None:
    found = resolved(an_instance(**facts), an_instance(id="good"))
    assert [instance.id for instance in found.own] == ["good"]
    [rejected] = found.rejected
    assert rejected.reason.code is ReasonCode.not_addressable
    assert rejected.reason.detail.isprintable()
    assert len(rejected.reason.detail) < 250


def test_what_a_successor_holds_is_rejected_as_taken_over() -> None:
    successor = a_living_pod(ip=POD_IP, created_at=at(5))
    renewing = an_instance(registered_at=at(20), renewed_at=at(200))
    [rejected] = resolved(renewing, living=(successor,)).rejected
    assert rejected.is_taken_over


@pytest.mark.parametrize(("count", "believed"), [(MAX_INSTANCES, True), (MAX_INSTANCES + 1, False)])
def test_a_pod_with_too_many_registrations_is_not_believed(count: int, believed: bool) -> None:
    found = resolved(*(an_instance(id=f"i-{number}") for number in range(count)))
    assert bool(found.own) is believed
    assert [one.reason.code for one in found.rejected] == ([] if believed else [ReasonCode.implausible])


def test_nothing_in_the_registry_is_nothing_found() -> None:
    assert resolved() == Resolution()


BY_ADDRESS = an_instance(id=f"{POD_IP}:8080", host_name=POD_IP, registered_at=at(-50), dirty_at=at(-50))
YOUNG = a_pod(name="orders-7cd9c4fbcc-nlttw", app_label="orders", created_at=at(-60))


@pytest.mark.parametrize("seconds", [10, 30, 90])
def test_who_heartbeats_in_another_app_lives_with_a_short_lease_too(seconds: int) -> None:
    lease = timedelta(seconds=seconds)
    billing = replace(BY_ADDRESS, app="BILLING", registered_at=at(-1200), renewed_at=at(seconds), lease=lease)
    command = a_command(terminating(YOUNG))
    both = (BY_ADDRESS, billing)
    assert resolve(command, PodAnnotations(), both, both).own == ()


@pytest.mark.parametrize("seconds", [90, 180, 300])
def test_what_the_addresss_last_pod_left_is_dead_with_a_long_lease_too(seconds: int) -> None:
    lease = timedelta(seconds=seconds)
    left = replace(BY_ADDRESS, app="BILLING", registered_at=at(-1200), renewed_at=at(seconds - 90), lease=lease)
    command = a_command(terminating(YOUNG))
    both = (BY_ADDRESS, left)
    assert resolve(command, PodAnnotations(), both, both).own == (BY_ADDRESS,)
