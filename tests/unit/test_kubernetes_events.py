"""What becomes a Kubernetes Event, under which name, and what remains of hostile words in it."""

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
    linked,
    shutdown_event,
)
from controller.domain.reason import ReasonCode
from controller.domain.shutdown.verdict import shutdown_of
from tests.unit.building import NOON, STATEFUL_SET, a_command, a_pod, a_reason, a_target, at
from tests.unit.shutdowns import an_end, begun, out, record_of, short_by, shut_down

SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def an_event(outcome: Outcome = Outcome.out_of_service, /, **facts: Any) -> Event:
    """Of a drain whose beginning the watch saw, and not only to the second."""
    since_at = at(0.000_001)
    return replace(make_event(a_command(since_at=since_at), outcome, at(0.4), target=a_target()), **facts)


def made_of(event: Event) -> KubernetesEvent:
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
            an_event(Outcome.refused, reason=a_reason("it is another pod's", ReasonCode.not_its_own)),
            "DrainRefused",
            True,
            f"Drain refused in Eureka region eu 0.4 s after the pod began to go ({IT}): it is another pod's",
        ),
        (
            an_event(Outcome.failed, reason=a_reason("http://eureka-0: HTTP 403", ReasonCode.denied), at=at(3600)),
            "DrainFailed",
            True,
            f"Drain given up in Eureka region eu 3600 s after the pod began to go ({IT}): http://eureka-0: HTTP 403",
        ),
        (
            an_event(Outcome.restored, reason=a_reason("a newer process holds the id", ReasonCode.taken_over)),
            "Restored",
            False,
            "Its id is back in service at every node of Eureka region eu 0.4 s after the pod began to go "
            f"({IT}): a newer process holds the id",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_an_outcome_that_concerns_a_team_becomes_an_event(
    event: Event, reason: str, warning: bool, message: str
) -> None:
    made = made_of(event)
    assert (made.reason, made.warning, made.message) == (reason, warning, message)
    assert (made.namespace, made.pod, made.uid, made.at) == ("shop", "orders-0", "uid-1", event.at)
    assert re.fullmatch(r"orders-0\.[0-9a-f]{16}", made.name)
    assert made.owner is None


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.requested,
        Outcome.retrying,
        Outcome.removed,
        Outcome.already_gone,
        Outcome.not_registered,
        Outcome.superseded,
    ],
)
def test_an_outcome_that_nobody_asks_for_becomes_none(outcome: Outcome) -> None:
    assert drain_event(an_event(outcome)) is None


def test_a_refusal_without_region_and_instance_becomes_an_event() -> None:
    event = an_event(
        Outcome.refused,
        region="",
        app="",
        instance_id="",
        since_at=None,
        reason=a_reason("region 'x y' is none", ReasonCode.invalid_annotation),
    )
    assert made_of(event).message == "Drain refused in Eureka: region 'x y' is none"


def test_what_a_person_asked_for_does_not_read_as_the_pods_end() -> None:
    made = made_of(an_event(cause=Cause.asked)).message
    assert "0.4 s after the pod was to be drained" in made


@pytest.mark.parametrize(("seconds", "text"), [(-5.3, " 0 s after"), (-0.3, " 0 s after"), (7.9, " 7 s after")])
def test_no_seconds_are_negative_or_more_exact_than_kubernetes_says(seconds: float, text: str) -> None:
    assert text in made_of(an_event(at=at(seconds), since_at=NOON)).message


def test_every_replica_makes_the_same_event_and_another_change_another_one() -> None:
    assert made_of(an_event()).name == made_of(an_event(at=at(7))).name == "orders-0.15aa1a74ebb360a6"
    names = {
        made_of(event).name
        for event in (
            an_event(),
            make_event(a_command(), Outcome.failed, at(1), target=a_target()),
            make_event(a_command(), Outcome.out_of_service, at(1), target=a_target(id="another")),
            make_event(a_command(requested_at=at(9)), Outcome.out_of_service, at(1), target=a_target()),
        )
    }
    assert len(names) == 4


def test_an_owner_reads_which_of_its_pods_it_was() -> None:
    made = made_of(an_event())
    moved = addressed_to(made, STATEFUL_SET)
    assert moved == replace(made, owner=STATEFUL_SET, message=f"Pod orders-0: {made.message}")


@pytest.mark.parametrize(
    "pod", ["", "A B", "../../secrets", "x" * 300, "a." * 150, "a..b", "-", "a" * 235 + "-.-b", "日本", "\ud800"]
)
def test_the_name_is_a_subdomain_whatever_the_pods_is(pod: str) -> None:
    name = made_of(an_event(pod=pod)).name
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
def test_what_cannot_be_ours_or_any_pods_becomes_none(facts: dict[str, str]) -> None:
    assert drain_event(an_event(**facts)) is None


@pytest.mark.parametrize(
    "text", ["a\nb", "\x1b[2J", "\x00", "\u202egnirts", "\x85\u2028", "\ud800", "{0}%s", "é" * 9_000]
)
@pytest.mark.parametrize("name", ["reason", "app", "instance_id", "region", "pod"])
def test_hostile_words_become_one_printable_line_of_bounded_length(name: str, text: str) -> None:
    made = made_of(an_event(Outcome.refused, **{name: text}))
    for one in (made, addressed_to(made, STATEFUL_SET)):
        assert one.message.isprintable()
        assert len(one.message.encode()) <= MAX_MESSAGE_BYTES


def test_a_long_id_is_cut_so_that_the_reason_has_room() -> None:
    event = an_event(
        Outcome.refused,
        app="A" * 600,
        instance_id="i" * 600,
        reason=a_reason("not addressable", ReasonCode.not_addressable),
    )
    assert made_of(event).message.endswith("…): not addressable")


words = st.text(max_size=400)


@given(outcome=st.sampled_from(Outcome), pod=words, namespace=words, reason=words, app=words, instance=words)
def test_anything_becomes_one_bounded_event_or_none(
    outcome: Outcome, pod: str, namespace: str, reason: str, app: str, instance: str
) -> None:
    event = an_event(outcome, pod=pod, namespace="shop", reason=a_reason(reason), app=app, instance_id=instance)
    made = [found for one in (event, replace(event, namespace=namespace)) if (found := drain_event(one))]
    assert (drain_event(event) in made) == (outcome in {"out_of_service", "refused", "failed", "restored"})
    assert [one.name for one in made if not SUBDOMAIN.fullmatch(one.name)] == []
    messages = [one.message for shown in made for one in (shown, addressed_to(shown, STATEFUL_SET))]
    assert [text for text in messages if not text.isprintable() or len(text.encode()) > MAX_MESSAGE_BYTES] == []


def event_of(record: DrainRecord) -> KubernetesEvent | None:
    return shutdown_event(record, shutdown_of(record))


def test_an_event_of_an_early_end_has_its_reason_times_and_region() -> None:
    made = event_of(short_by(94))
    assert made == KubernetesEvent(
        name="orders-0.384bb20b59ce0e3a",
        namespace="shop",
        pod="orders-0",
        uid="uid-1",
        reason="NotGraceful",
        warning=True,
        message="Not graceful, 94 s short: it has no preStop hook. It ended at 12:00:01Z; "
        "callers in Eureka region eu may have used it until 12:01:35Z",
        at=at(1),
        drain_id="u4ogxdsnands54l3",
    )


def test_an_event_of_a_graceful_shutdown_is_no_warning() -> None:
    made = event_of(shut_down(at(100)))
    assert made is not None
    assert (made.reason, made.warning) == ("Graceful", False)
    message = "Graceful. It ended at 12:01:40Z; callers in Eureka region eu may have used it until 12:01:35Z"
    assert made.message == message


def test_an_event_of_an_end_in_service_has_no_unknown_times() -> None:
    made = event_of(record_of(begun(), make_event(a_command(), Outcome.failed, at(9), target=a_target()), an_end(3)))
    assert made is not None
    assert made.message == "Not graceful: it ended while callers were still given it (Eureka region eu)"


@pytest.mark.parametrize(
    "record",
    [
        record_of(begun(), out()),
        record_of(begun(), an_end(1)),
        record_of(begun(), out(), an_end(None)),
        record_of(begun(), make_event(a_command(), Outcome.not_registered, at(9)), an_end(1)),
        short_by(94, pod=a_pod(namespace="../shop")),
    ],
    ids=["it serves", "not out yet", "nobody saw it", "never registered", "no namespace can be called so"],
)
def test_a_verdict_that_helps_nobody_makes_no_event(record: DrainRecord) -> None:
    assert event_of(record) is None


def test_replicas_give_one_name_to_a_shutdown_and_drains_different_ones() -> None:
    end = an_end(1)
    replica = replace(end, at=at(7), why="it has no preStop hook")
    one, other = (event_of(record_of(begun(), out(), made)) for made in (end, replica))
    of_us = event_of(short_by(94, drain_id="of-us", region="us"))
    drained = made_of(out())
    assert one is not None
    assert other is not None
    assert of_us is not None
    assert one.name == other.name
    assert len({one.name, of_us.name, drained.name}) == 3


@given(st.text(), st.text(max_size=3_000), st.text(max_size=300))
def test_a_shutdown_event_is_one_printable_bounded_line_for_any_pod(pod: str, why: str, region: str) -> None:
    made = event_of(short_by(94, pod=a_pod(name=pod), region=region, why=why))
    assert made is not None
    assert made.message.isprintable()
    assert len(made.message.encode()) <= MAX_MESSAGE_BYTES
    assert SUBDOMAIN.fullmatch(made.name)
    assert made.message.startswith("Not graceful, 94 s short")
    assert len(addressed_to(made, STATEFUL_SET).message.encode()) <= MAX_MESSAGE_BYTES


PAGE = "https://drain.example.com/"


def test_an_event_links_to_its_drain_where_the_page_is_known() -> None:
    event = made_of(an_event())
    assert linked(event, "") == event
    assert linked(event, PAGE).message == f"{event.message} https://drain.example.com/drains/{event.drain_id}"
    moved = linked(addressed_to(event, STATEFUL_SET), PAGE)
    assert moved.message.startswith(f"Pod {event.pod}: ")
    assert moved.message.endswith(f"/drains/{event.drain_id}")


def test_a_link_is_whole_however_long_the_reason_and_none_leads_elsewhere() -> None:
    long = linked(made_of(an_event(Outcome.refused, reason=a_reason("ü" * 5_000, ReasonCode.denied))), PAGE)
    assert len(long.message.encode()) <= MAX_MESSAGE_BYTES
    assert f"… https://drain.example.com/drains/{long.drain_id}" in long.message
    for hostile in ("../sign-out", "a b", "\u202e", "", "x" * 65):
        event = replace(made_of(an_event()), drain_id=hostile)
        assert linked(event, PAGE) == event
