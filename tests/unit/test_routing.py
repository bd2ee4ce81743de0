"""Whether a pod is drained, why, in which regions, and between which times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.causes import MAX_FINISHED_AGE, Cause, cause_of, is_worth_draining
from controller.domain.commands import drain_id
from controller.domain.gone import Gone
from controller.domain.pods import Pod
from controller.domain.reason import Reason, ReasonCode
from controller.domain.routing import Publish, Refuse, Routing, drain_period, make_commands
from tests.unit.building import NOON, a_living_pod, a_pod, at, terminating

ROUTING = Routing(
    cluster="test", known=("eu", "us"), default=("eu",), namespaces={"bank": ("us",), "both": ("us", "eu")}
)


def regions(pod: Pod, routing: Routing = ROUTING) -> list[str]:
    decisions = make_commands(pod, Cause.terminating, NOON, routing)
    assert all(isinstance(decision, Publish) for decision in decisions)
    return [decision.command.region for decision in decisions]


def refusal(pod: Pod, routing: Routing = ROUTING) -> Reason:
    [decision] = make_commands(pod, Cause.terminating, NOON, routing)
    assert isinstance(decision, Refuse)
    return decision.reason


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({}, None),
        ({"phase": "Pending"}, None),
        ({"phase": ""}, None),
        ({"deletion_at": NOON}, Cause.terminating),
        ({"deletion_at": NOON, "phase": "Failed"}, Cause.terminating),
        ({"phase": "Failed"}, Cause.failed),
        ({"phase": "Succeeded"}, Cause.succeeded),
        ({"phase": "Unknown"}, Cause.node_lost),
        ({"disruption": "DeletionByTaintManager"}, Cause.node_lost),
        ({"disruption": "DeletionByPodGC"}, Cause.node_lost),
        ({"disruption": "EvictionByEvictionAPI"}, None),
        ({"disruption": "PreemptionByScheduler"}, None),
        ({"disruption": "TerminationByKubelet"}, None),
    ],
)
def test_a_pod_is_drained_for_what_ends_it_and_for_nothing_else(facts: dict[str, Any], cause: Cause | None) -> None:
    assert cause_of(a_pod(**facts)) is cause


@pytest.mark.parametrize(
    ("facts", "worth"),
    [
        ({}, True),
        ({"ip": ""}, False),
        ({"phase": "Succeeded", "finished_at": NOON - MAX_FINISHED_AGE}, False),
        ({"phase": "Failed", "finished_at": NOON - MAX_FINISHED_AGE + timedelta(seconds=1)}, True),
        ({"phase": "Failed"}, True),
        ({"phase": "Running", "finished_at": at(-86_400)}, True),
    ],
)
def test_what_has_no_address_or_ended_long_ago_is_skipped(facts: dict[str, Any], worth: bool) -> None:
    assert is_worth_draining(a_pod(**facts), NOON) is worth


@pytest.mark.parametrize(
    ("namespace", "annotation", "expected"),
    [
        ("shop", None, ["eu"]),
        ("bank", None, ["us"]),
        ("both", None, ["us", "eu"]),
        ("shop", "us", ["us"]),
        ("bank", "eu", ["eu"]),
        ("shop", "eu, us", ["eu", "us"]),
        ("shop", "us,us,,us", ["us"]),
        ("shop", "*", ["eu", "us"]),
        ("shop", "us,*", ["us", "eu"]),
        ("shop", "mars-1", ["mars-1"]),
    ],
)
def test_the_annotation_wins_over_the_namespace_and_that_over_the_default(
    namespace: str, annotation: str | None, expected: list[str]
) -> None:
    notes = {} if annotation is None else {"region": annotation}
    open_to_others = replace(ROUTING, sends_to_others=True)
    assert regions(terminating(a_pod(namespace=namespace, annotations=notes)), open_to_others) == expected


def test_a_region_that_the_settings_do_not_name_is_refused_by_name() -> None:
    for text in ("mars-1", "eu,mars-1", "*,mars-1"):
        reason = refusal(terminating(a_pod(annotations={"region": text})))
        assert reason.code is ReasonCode.no_region
        assert "'mars-1'" in reason.detail
        assert "routing.other_regions: send" in reason.detail


def test_no_pod_asks_for_more_than_sixteen_regions() -> None:
    names = [f"r-{number}" for number in range(17)]
    routing = replace(ROUTING, known=tuple(names))
    assert len(regions(terminating(a_pod(annotations={"region": ",".join(names[:16])})), routing)) == 16
    assert len(regions(terminating(a_pod(annotations={"region": "*"})), routing)) == 17
    for sends_to_others in (False, True):
        open_to_others = replace(routing, sends_to_others=sends_to_others)
        reason = refusal(terminating(a_pod(annotations={"region": ",".join(names)})), open_to_others)
        assert "17 regions; more than 16 is not believed" in reason.detail


def test_a_default_of_all_regions_means_every_known_one() -> None:
    assert regions(terminating(a_pod()), replace(ROUTING, default=("*",))) == ["eu", "us"]


def test_a_pod_that_asks_for_all_regions_where_none_is_known_is_refused() -> None:
    reason = refusal(terminating(a_pod(annotations={"region": "*"})), replace(ROUTING, known=()))
    assert reason.code is ReasonCode.no_region


@pytest.mark.parametrize("text", ["EU", "eu.west", "#", "eu west", "../eu", "eu\nus", "ü", "*.eu", "eu,#", "", " , "])
def test_what_cannot_be_a_region_is_refused_and_the_annotation_is_named(text: str) -> None:
    reason = refusal(terminating(a_pod(annotations={"region": text})))
    assert reason.code is ReasonCode.invalid_annotation
    assert "eureka.drain/region" in reason.detail
    assert "\n" not in reason.detail


@pytest.mark.parametrize("text", ["false", "False", " FALSE "])
def test_a_pod_that_is_switched_off_is_skipped(text: str) -> None:
    assert regions(terminating(a_pod(annotations={"enabled": text, "region": "!!"}))) == []


@pytest.mark.parametrize("text", ["true", "True", " true "])
def test_a_pod_that_is_switched_on_is_drained(text: str) -> None:
    assert regions(terminating(a_pod(annotations={"enabled": text}))) == ["eu"]


@pytest.mark.parametrize("text", ["no", "0", "", "flase", "{}", "\x1b[31m"])
def test_a_switch_that_is_neither_is_refused_and_the_annotation_is_named(text: str) -> None:
    reason = refusal(terminating(a_pod(annotations={"enabled": text})))
    assert reason.code is ReasonCode.invalid_annotation
    assert "eureka.drain/enabled" in reason.detail
    assert reason.detail.isprintable()


def test_a_command_carries_the_pod_its_times_and_its_living_neighbours() -> None:
    pod, other = terminating(a_pod(), asked_at=at(-3)), a_living_pod()
    [decision] = make_commands(pod, Cause.terminating, NOON, ROUTING, (other,))
    command = decision.command
    assert (command.pod, command.living, command.cluster) == (pod, (other,), "test")
    assert (command.since_at, command.end_at, command.observed_at) == (at(-3), at(27), NOON)
    assert command.drain_id == "u4ogxdsnands54l3"


@given(st.tuples(*[st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text)] * 3))
def test_a_drain_has_the_same_id_everywhere_and_no_other_drain_has_it(
    facts: tuple[str, str, str],
) -> None:
    cluster, uid, region = facts
    own = drain_id(cluster, uid, region)
    assert len(own) == 16
    assert own.isalnum()
    assert own.isascii()
    others = {
        drain_id(cluster + "x", uid, region),
        drain_id(cluster, uid + "x", region),
        drain_id(cluster, uid, region + "x"),
        drain_id(cluster, uid, region, "restore"),
        drain_id(cluster + uid, "", region),
    }
    assert own not in others


def test_the_drain_id_is_pinned_because_links_and_logs_outlive_a_release() -> None:
    assert drain_id("default", "0b1f3c1e-7d5e-4a53-9a43-3c6d7a9f0001", "eu") == "jpk72vgf3pclluxz"


@pytest.mark.parametrize(
    ("pod", "cause", "expected"),
    [
        (terminating(a_pod(), asked_at=at(-5)), Cause.terminating, (at(-5), at(25))),
        (terminating(a_pod(), asked_at=at(-0.4)), Cause.terminating, (NOON, at(29.6))),
        (terminating(a_pod(), asked_at=at(-600), grace=60), Cause.terminating, (at(-600), at(-540))),
        (a_pod(), Cause.vanished, (NOON, NOON)),
        (a_pod(), Cause.node_lost, (NOON, NOON)),
        (terminating(a_pod(), grace=0), Cause.deleted, (NOON, NOON)),
        (a_pod(phase="Failed", finished_at=at(-90)), Cause.failed, (at(-90), at(-90))),
        (a_pod(phase="Failed", finished_at=at(300)), Cause.failed, (NOON, NOON)),
        (a_pod(phase="Succeeded"), Cause.succeeded, (NOON, NOON)),
    ],
)
def test_the_span_runs_from_when_the_pod_began_to_go_to_its_end(
    pod: Pod, cause: Cause, expected: tuple[Any, Any]
) -> None:
    assert drain_period(pod, cause, NOON) == expected


@pytest.mark.parametrize("gone", [None, Gone(at=at(-240), proved=False), Gone(at=at(-1), proved=True)])
def test_every_command_says_whether_the_pod_is_over_and_since_when(gone: Gone | None) -> None:
    decisions = make_commands(a_pod(annotations={"region": "eu,us"}), Cause.deleted, NOON, ROUTING, gone=gone)
    said = [(decision.command.gone_at, decision.command.end_proved) for decision in decisions]
    assert said == [(gone.at, gone.proved) if gone else (None, False)] * 2


@given(
    st.sampled_from(Cause),
    st.integers(0, 3600),
    st.floats(-5, 5),
    st.none() | st.integers(-1000, 5),
)
def test_a_pod_is_never_over_before_it_began_to_go(cause: Cause, grace: int, late: float, finished: int | None) -> None:
    finished_at = None if finished is None else at(finished)
    pod = replace(terminating(a_pod(finished_at=finished_at), grace=grace))
    since_at, end_at = drain_period(pod, cause, at(late))
    assert since_at <= end_at
    assert since_at <= at(late), "nothing begins after it was seen"
