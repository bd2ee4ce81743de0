"""How pods left, as operators see it: tables at each width, JSON, timelines, the page's words and metrics."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.domain.timeline import Moment, moments
from controller.ops.answers import drain_answer, timeline_answer
from controller.ops.metrics import Metrics
from controller.ops.metrics.shutdown_metrics import MAX_WORKLOADS, OTHER
from controller.ops.tables import drains_table, story_text
from controller.ops.web.openapi import SCHEMAS
from tests.unit.building import NOON, a_command, a_pod, at, terminating
from tests.unit.shutdowns import ONE, an_end, begun, out, short_by, story_of, told
from tests.unit.shutdowns import OTHER as SECOND

LONG_NAMED = a_command(terminating(a_pod(name="orders-7cd9c4fbcc-nlttw")))
BY_HAND = a_command(cause=Cause.asked, requested_by="ann", requested_at=NOON)


def a_story(*more: Event | PodEnd, command: DrainCommand = LONG_NAMED) -> DrainRecord:
    """A pod that was out of service half a second after noon, and what is told of it besides."""
    return story_of(begun(0, command), out(0.5, command), *more)


SHORT, GRACEFUL, SERVING = a_story(an_end(1)), a_story(an_end(100)), a_story()
NEVER = story_of(begun(), told(Outcome.not_registered, 60), an_end(61))
REFUSED = story_of(begun(), told(Outcome.refused, 1, target=ONE, reason="it is another pod's"), an_end(61))
GIVEN_UP = story_of(begun(), told(Outcome.failed, 60, target=ONE, reason="HTTP 403"), an_end(3))
UNSEEN = a_story(an_end(None))
EVERY = [SHORT, GRACEFUL, SERVING, NEVER, REFUSED, GIVEN_UP, UNSEEN]


def cells(record: DrainRecord, width: int | None, *, now: float = 30) -> dict[str, str]:
    """One drain's row, by its column's name."""
    head, row = drains_table([record], at(now), width=width).splitlines()
    names = head.split("  ")
    starts = {name.strip(): head.index(name) for name in (one.strip() for one in names) if name}
    ends = [*list(starts.values())[1:], None]
    return {name: row[start:end].strip() for (name, start), end in zip(starts.items(), ends, strict=True)}


def test_in_a_pipe_the_whole_verdict_stands_in_its_column_and_its_reason_beside_it() -> None:
    row = cells(SHORT, None)
    assert (row["LEAVE"], row["WHY"]) == ("not graceful, 95 s short", "it has no preStop hook")
    assert (cells(GRACEFUL, None)["LEAVE"], cells(GRACEFUL, None)["WHY"]) == ("graceful", "-")
    assert cells(SERVING, None)["LEAVE"] == "safe after 12:01:35Z"
    assert cells(SERVING, None, now=100)["LEAVE"] == "-"
    assert cells(UNSEEN, None)["LEAVE"] == "not judged"
    assert cells(NEVER, None)["LEAVE"] == "not judged"
    assert (cells(GIVEN_UP, None)["LEAVE"], cells(GIVEN_UP, None)["WHY"]) == (
        "not graceful",
        "HTTP 403; it ended while callers were still given it",
    )


@pytest.mark.parametrize("width", [100, 110, 120, 130, 140, 200])
def test_a_column_of_a_terminal_tells_it_in_few_words_and_is_never_cut(width: int) -> None:
    assert cells(SHORT, width)["LEAVE"] == "95 s short"
    assert cells(SERVING, width)["LEAVE"] == "safe after 12:01:35Z"
    assert cells(SERVING, width, now=-86_400)["LEAVE"] == "safe after 06-01 12:01Z"
    assert cells(GIVEN_UP, width)["LEAVE"] == "not graceful"
    assert cells(SHORT, width)["WHY"].rstrip("…") in "it has no preStop hook"


@pytest.mark.parametrize("width", [80, 99])
def test_a_narrow_terminal_has_no_such_column_and_says_why_with_the_verdict(width: int) -> None:
    row = cells(SHORT, width)
    assert "LEAVE" not in row
    assert row["WHY"].startswith("95 s short: it h")
    assert cells(GRACEFUL, width)["WHY"] == "-"
    assert cells(SERVING, width)["WHY"] == "-"
    assert cells(GIVEN_UP, width)["WHY"].startswith("HTTP 403; not graceful: it"), (
        "what is wrong with the drain itself comes first"
    )
    assert cells(REFUSED, width)["WHY"].startswith("it is another")


@pytest.mark.parametrize("width", [80, 90, 100, 120, 130, 140, 160])
def test_the_table_fits_its_terminal_whatever_is_told_of_leaves(width: int) -> None:
    endless = a_story(an_end(1, why=f"its exec hook {'x' * 400}"))
    for now in (at(30), at(200_000)):
        for line in drains_table([*EVERY, endless], now, width=width).splitlines():
            assert len(line) <= width


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (SHORT, "leave:     not graceful, 95 s short: it has no preStop hook (deployment orders)"),
        (GRACEFUL, "leave:     graceful (deployment orders)"),
        (SERVING, "leave:     safe after 12:01:35Z"),
        (UNSEEN, "leave:     not judged: nobody saw it end (deployment orders)"),
        (
            NEVER,
            "leave:     not judged: not registered, as far as its region tells: nobody was given it to call "
            "(deployment orders)",
        ),
    ],
)
def test_one_drain_tells_its_leave_its_reason_and_whose_pod_it_was(record: DrainRecord, line: str) -> None:
    text = story_text(record, moments(record, at(30)), at(30), width=None)
    assert [one for one in text.splitlines() if one.startswith("leave:")] == [line]


def test_one_drain_of_which_nothing_is_to_be_said_yet_has_no_such_line() -> None:
    for record in (story_of(begun()), story_of(begun(), an_end(1))):
        assert "leave:" not in story_text(record, moments(record, at(30)), at(30), width=None)


def test_a_drain_in_json_tells_its_verdict() -> None:
    answer = drain_answer(SHORT, at(30))
    assert {name: answer[name] for name in LEAVE_FIELDS} == {
        "grace": "not_graceful",
        "verdict": "not graceful, 95 s short",
        "short_seconds": 95,
        "grace_why": "it has no preStop hook",
        "safe_at": "2025-06-01T12:01:35.500000Z",
        "safe_after": None,
        "ended_at": "2025-06-01T12:00:01Z",
        "workload": "Deployment/orders",
    }
    assert [part["safe_at"] for part in answer["instances"]] == [answer["safe_at"]]


LEAVE_FIELDS = ("grace", "verdict", "short_seconds", "grace_why", "safe_at", "safe_after", "ended_at", "workload")


def test_a_drain_in_json_tells_from_when_on_its_pod_may_end_and_nothing_before_that_is_known() -> None:
    answer = drain_answer(SERVING, at(30))
    assert (answer["grace"], answer["verdict"], answer["short_seconds"]) == ("to_come", "", None)
    assert answer["safe_after"] == answer["safe_at"] == "2025-06-01T12:01:35.500000Z"
    assert drain_answer(SERVING, at(96))["safe_after"] is None
    nothing = drain_answer(story_of(begun()), at(30))
    assert [nothing[name] for name in LEAVE_FIELDS] == ["to_come", "", None, "", None, None, None, ""]


@pytest.mark.parametrize("record", EVERY)
def test_the_openapi_document_describes_each_field_of_a_drain(record: DrainRecord) -> None:
    for name, answer in (
        ("Drain", drain_answer(record, at(30))),
        ("DrainWithTimeline", timeline_answer(record, at(30))),
    ):
        schema = SCHEMAS[name]
        assert set(answer) == set(schema["properties"]) == set(schema["required"])
        for field in LEAVE_FIELDS:
            assert fits(answer[field], schema["properties"][field]), field


def fits(value: Any, schema: dict[str, Any]) -> bool:
    kinds = schema.get("type", "string")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    kind = {"str": "string", "int": "integer", "NoneType": "null"}[type(value).__name__]
    return kind in kinds and ("enum" not in schema or value in schema["enum"])


def timeline(record: DrainRecord, now: float) -> list[tuple[float, str, str, bool]]:
    def shown(one: Moment) -> tuple[float, str, str, bool]:
        return (one.at - NOON).total_seconds(), one.what, one.detail, one.ahead

    kinds = ("safe after", "ended serving", "no caller uses it any more")
    return [shown(one) for one in moments(record, at(now)) if one.what in kinds]


CACHED = "by what callers have cached"


def test_a_timeline_tells_from_when_on_the_pod_may_end() -> None:
    assert timeline(SERVING, 30) == [(95.5, "safe after", CACHED, True)]
    assert timeline(SERVING, 100) == [(95.5, "no caller uses it any more", CACHED, False)]


def test_a_timeline_tells_when_it_ended_serving_and_how_it_left() -> None:
    verdict = "not graceful, 95 s short; it has no preStop hook"
    assert timeline(SHORT, 30) == [
        (1, "ended serving", verdict, False),
        (95.5, "no caller uses it any more", CACHED, True),
    ]
    assert timeline(a_story(an_end(100, why="its sleep hook waits 100 s")), 200)[-1] == (
        100,
        "ended serving",
        "graceful; its sleep hook waits 100 s",
        False,
    )
    assert timeline(story_of(begun(), an_end(1)), 30) == [(1, "ended serving", "it has no preStop hook", False)]


def test_a_timeline_says_nothing_of_an_end_that_nobody_saw_or_of_what_was_put_back() -> None:
    assert timeline(UNSEEN, 100) == [(95.5, "no caller uses it any more", CACHED, False)]
    put_back = a_story(told(Outcome.restored, 5, BY_HAND, target=ONE), command=BY_HAND)
    assert timeline(put_back, 30) == []


class Counted:
    """The metrics of an ops."""

    def __init__(self, *records: DrainRecord) -> None:
        self.metrics = Metrics(ops=True)
        for record in records:
            self.metrics.judged(record, shutdown_of(record))

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(self.metrics.exposition().decode())
        return {
            tuple(one.labels[label] for label in ("workload", "grace", "reason") if label in one.labels): one.value
            for family in families
            for one in family.samples
            if one.name == name
        }

    @property
    def left(self) -> dict[tuple[str, ...], float]:
        return self.samples("eureka_drain_shutdowns_total")

    @property
    def short(self) -> dict[tuple[str, ...], float]:
        return self.samples("eureka_drain_shutdown_short_seconds_total")


ORDERS = "shop/deployment/orders"


def test_leaves_are_counted_by_workload_with_what_ended_them() -> None:
    killed = a_story(an_end(3, end_cause=EndCause.killed))
    counted = Counted(SHORT, SHORT, killed, GRACEFUL, UNSEEN)
    assert counted.left == {
        (ORDERS, "not_graceful", "no_hook"): 2,
        (ORDERS, "not_graceful", "killed"): 1,
        (ORDERS, "graceful", ""): 1,
        (ORDERS, "unjudged", "unknown"): 1,
    }
    assert counted.short == {(ORDERS,): 94.5 + 94.5 + 92.5}


def test_what_was_never_taken_out_is_counted_with_why() -> None:
    assert Counted(NEVER, REFUSED, GIVEN_UP).left == {
        (ORDERS, "unjudged", "not_registered"): 1,
        (ORDERS, "unjudged", "refused"): 1,
        (ORDERS, "not_graceful", "failed"): 1,
    }
    assert Counted(NEVER).short == {}


@pytest.mark.parametrize("end_cause", EndCause)
def test_each_reason_is_one_word_of_a_fixed_set(end_cause: EndCause) -> None:
    [(_, grace, reason)] = Counted(a_story(an_end(1, end_cause=end_cause, why="x" * 500))).left
    assert (grace, reason) == (ShutdownVerdict.not_graceful.name, end_cause.value)


def test_whoever_may_name_workloads_cannot_fill_the_memory() -> None:
    records = [a_story(an_end(1, workload=f"made-up-{number}")) for number in range(MAX_WORKLOADS + 50)]
    counted = Counted(*records, records[0])
    assert len({workload for workload, *_ in counted.left}) == MAX_WORKLOADS + 1
    assert counted.left[OTHER, "not_graceful", "no_hook"] == 50
    assert counted.left["shop/deployment/made-up-0", "not_graceful", "no_hook"] == 2, "who was there first stays"


def test_only_ops_shows_how_pods_left() -> None:
    for metrics in (Metrics(watch=True), Metrics(work=["eu"])):
        metrics.judged(SHORT, shutdown_of(SHORT))
        assert b"pods_left" not in metrics.exposition()


def test_a_drain_of_two_instances_is_one_pod() -> None:
    record = a_story(out(20, LONG_NAMED, target=SECOND), an_end(1))
    assert Counted(record).left == {(ORDERS, "not_graceful", "no_hook"): 1}
    assert Counted(short_by(94)).short == {(ORDERS,): 94}
