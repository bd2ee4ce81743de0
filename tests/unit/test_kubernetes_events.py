"""What becomes a notice, under which name, and what is left of hostile words in it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome, make_event
from controller.domain.kubernetes_events import (
    MAX_MESSAGE_BYTES,
    KubernetesEvent,
    addressed_to,
    drain_event,
    shutdown_event,
)
from controller.domain.shutdown.verdict import shutdown_of
from tests.unit.building import NOON, STATEFUL_SET, a_command, a_pod, a_target, at
from tests.unit.shutdowns import an_end, begun, left, out, short_by, story_of

SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def an_event(outcome: Outcome = Outcome.out_of_service, /, **facts: Any) -> Event:
    return replace(make_event(a_command(), outcome, at(0.4), target=a_target()), **facts)


def notice(event: Event) -> KubernetesEvent:
    found = drain_event(event)
    assert found is not None
    return found


IT = "app ORDERS, instance orders-0:orders:8080"


@pytest.mark.parametrize(
    ("event", "reason", "warning", "message"),
    [
        (
            an_event(Outcome.out_of_service),
            "Drained",
            False,
            f"Out of service at every node of Eureka region eu 0.4 s after the pod began to go ({IT})",
        ),
        (
            an_event(Outcome.refused, reason="it is another pod's"),
            "DrainRefused",
            True,
            f"Drain refused in Eureka region eu 0.4 s after the pod began to go ({IT}): it is another pod's",
        ),
        (
            an_event(Outcome.failed, reason="http://eureka-0: HTTP 403", at=at(3600)),
            "DrainFailed",
            True,
            f"Drain given up in Eureka region eu 3600 s after the pod began to go ({IT}): http://eureka-0: HTTP 403",
        ),
        (
            an_event(Outcome.restored, reason="a newer process holds the id"),
            "Restored",
            False,
            "Its id is back in service at every node of Eureka region eu 0.4 s after the pod began to go "
            f"({IT}): a newer process holds the id",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_what_is_told(event: Event, reason: str, warning: bool, message: str) -> None:
    told = notice(event)
    assert (told.reason, told.warning, told.message) == (reason, warning, message)
    assert (told.namespace, told.pod, told.uid, told.at) == ("shop", "orders-0", "uid-1", event.at)
    assert told.name == f"orders-0.{event.event_id[:16]}"
    assert told.owner is None


@pytest.mark.parametrize(
    "outcome",
    [Outcome.requested, Outcome.removed, Outcome.already_gone, Outcome.not_registered, Outcome.superseded],
)
def test_what_nobody_asks_for_is_not_told(outcome: Outcome) -> None:
    assert drain_event(an_event(outcome)) is None


def test_a_refusal_without_region_and_instance_is_told_all_the_same() -> None:
    event = an_event(Outcome.refused, region="", app="", instance_id="", since_at=None, reason="region 'x y' is none")
    assert notice(event).message == "Drain refused in Eureka: region 'x y' is none"


def test_what_a_person_asked_for_is_not_told_as_the_pods_end() -> None:
    told = notice(an_event(cause=Cause.asked)).message
    assert "0.4 s after the pod was to be drained" in told


def test_clocks_that_differ_tell_no_negative_seconds() -> None:
    assert " 0.0 s after" in notice(an_event(at=at(-5), since_at=NOON)).message


def test_every_replica_gives_the_same_notice_and_another_change_another_name() -> None:
    assert notice(an_event()) == notice(an_event())
    names = {
        notice(event).name
        for event in (
            an_event(),
            make_event(a_command(), Outcome.failed, at(1), target=a_target()),
            make_event(a_command(), Outcome.out_of_service, at(1), target=a_target(id="another")),
            make_event(a_command(requested_at=at(9)), Outcome.out_of_service, at(1), target=a_target()),
        )
    }
    assert len(names) == 4


def test_the_owner_is_told_which_of_its_pods_it_was() -> None:
    told = notice(an_event())
    moved = addressed_to(told, STATEFUL_SET)
    assert moved == replace(told, owner=STATEFUL_SET, message=f"Pod orders-0: {told.message}")


@pytest.mark.parametrize(
    "pod", ["", "A B", "../../secrets", "x" * 300, "a." * 150, "a..b", "-", "a" * 235 + "-.-b", "日本", "\ud800"]
)
def test_the_name_is_a_subdomain_whatever_the_pods_is(pod: str) -> None:
    name = notice(an_event(pod=pod)).name
    assert SUBDOMAIN.fullmatch(name)
    assert len(name) <= 253


@pytest.mark.parametrize(
    "facts",
    [
        {"namespace": ""},
        {"namespace": "../kube-system"},
        {"namespace": "Shop"},
        {"namespace": "x" * 64},
        {"event_id": ""},
        {"event_id": "short"},
        {"event_id": "../../../../../../../../"},
        {"event_id": "G" * 32},
    ],
    ids=str,
)
def test_what_cannot_be_ours_or_any_pods_is_not_told(facts: dict[str, str]) -> None:
    assert drain_event(an_event(**facts)) is None


@pytest.mark.parametrize(
    "text", ["a\nb", "\x1b[2J", "\x00", "\u202egnirts", "\x85\u2028", "\ud800", "{0}%s", "é" * 9_000]
)
@pytest.mark.parametrize("name", ["reason", "app", "instance_id", "region", "pod"])
def test_hostile_words_become_one_printable_line_of_bounded_length(name: str, text: str) -> None:
    told = notice(an_event(Outcome.refused, **{name: text}))
    for one in (told, addressed_to(told, STATEFUL_SET)):
        assert one.message.isprintable()
        assert len(one.message.encode()) <= MAX_MESSAGE_BYTES


def test_a_long_id_leaves_room_for_the_reason() -> None:
    event = an_event(Outcome.refused, app="A" * 600, instance_id="i" * 600, reason="not addressable")
    assert notice(event).message.endswith("…): not addressable")


words = st.text(max_size=400)


@given(outcome=st.sampled_from(Outcome), pod=words, namespace=words, reason=words, app=words, instance=words)
def test_anything_is_a_bounded_notice_or_none(
    outcome: Outcome, pod: str, namespace: str, reason: str, app: str, instance: str
) -> None:
    for where in (namespace, "shop"):
        event = an_event(outcome, pod=pod, namespace=where, reason=reason, app=app, instance_id=instance)
        told = drain_event(event)
        if told is not None:
            assert SUBDOMAIN.fullmatch(told.name)
            assert told.message.isprintable()
            assert len(addressed_to(told, STATEFUL_SET).message.encode()) <= MAX_MESSAGE_BYTES


def leave_notice(record: DrainRecord) -> KubernetesEvent | None:
    return shutdown_event(record, shutdown_of(record))


def test_a_leave_that_was_not_graceful_is_told_with_its_reason_its_times_and_its_region() -> None:
    told = leave_notice(short_by(94))
    assert told == KubernetesEvent(
        name=told.name if told else "",
        namespace="shop",
        pod="orders-0",
        uid="uid-1",
        reason="NotGraceful",
        warning=True,
        message="Not graceful, 94 s short: it has no preStop hook. It ended at 12:00:01Z; "
        "callers in Eureka region eu may have used it until 12:01:35Z",
        at=at(1),
    )
    assert SUBDOMAIN.fullmatch(told.name)
    assert told.name.startswith("orders-0.")


def test_a_graceful_leave_is_told_without_a_warning() -> None:
    told = leave_notice(left(at(100)))
    assert told is not None
    assert (told.reason, told.warning) == ("Graceful", False)
    message = "Graceful. It ended at 12:01:40Z; callers in Eureka region eu may have used it until 12:01:35Z"
    assert told.message == message


def test_a_leave_while_callers_were_still_given_it_is_told_without_times_that_nobody_knows() -> None:
    told = leave_notice(story_of(begun(), make_event(a_command(), Outcome.failed, at(9), target=a_target()), an_end(3)))
    assert told is not None
    assert told.message == "Not graceful: it ended while callers were still given it (Eureka region eu)"


@pytest.mark.parametrize(
    "record",
    [
        story_of(begun(), out()),
        story_of(begun(), an_end(1)),
        story_of(begun(), out(), an_end(None)),
        story_of(begun(), make_event(a_command(), Outcome.not_registered, at(9)), an_end(1)),
        short_by(94, pod=a_pod(namespace="../shop")),
    ],
    ids=["it serves", "not out yet", "nobody saw it", "never registered", "no namespace can be called so"],
)
def test_a_leave_that_says_nothing_to_a_team_is_not_told(record: DrainRecord) -> None:
    assert leave_notice(record) is None


def test_every_replica_gives_the_same_name_to_a_leave_and_each_drain_another_one() -> None:
    end = an_end(1)
    replica = replace(end, at=at(7), why="it has no preStop hook")
    one, other = (leave_notice(story_of(begun(), out(), told)) for told in (end, replica))
    of_us = leave_notice(short_by(94, drain_id="of-us", region="us"))
    drained = notice(out())
    assert one is not None
    assert other is not None
    assert of_us is not None
    assert one.name == other.name
    assert len({one.name, of_us.name, drained.name}) == 3


@given(st.text(), st.text(max_size=3_000), st.text(max_size=300))
def test_whatever_a_pod_is_called_and_its_hook_does_its_leave_is_one_printable_bounded_line(
    pod: str, why: str, region: str
) -> None:
    told = leave_notice(short_by(94, pod=a_pod(name=pod), region=region, why=why))
    assert told is not None
    assert told.message.isprintable()
    assert len(told.message.encode()) <= MAX_MESSAGE_BYTES
    assert SUBDOMAIN.fullmatch(told.name)
    assert told.message.startswith("Not graceful, 94 s short")
    assert len(addressed_to(told, STATEFUL_SET).message.encode()) <= MAX_MESSAGE_BYTES
