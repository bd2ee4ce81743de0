"""How pods shut down, as operators see it: tables at each width, JSON, timelines and metrics."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome
from controller.domain.reason import ReasonCode
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.domain.timeline import Moment, moments
from controller.ops.answers import DrainAnswer, TimelineAnswer, drain_answer, json_text, timeline_answer
from controller.ops.metrics import Metrics
from controller.ops.metrics.shutdown_metrics import MAX_WORKLOADS, OTHER
from controller.ops.tables import drain_text, drains_table
from tests.unit.building import NOON, a_command, a_pod, a_reason, at, terminating
from tests.unit.shutdowns import ONE, an_end, an_event, begun, out, record_of, short_by
from tests.unit.shutdowns import OTHER as SECOND

LONG_NAMED = a_command(terminating(a_pod(name="orders-7cd9c4fbcc-nlttw")))
BY_HAND = a_command(cause=Cause.asked, requested_by="ann", requested_at=NOON)


def a_record(*more: Event | PodEnd, command: DrainCommand = LONG_NAMED) -> DrainRecord:
    """A pod that was out of service half a second after noon, and what followed."""
    return record_of(begun(0, command), out(0.5, command), *more)


SHORT, GRACEFUL, SERVING = a_record(an_end(1)), a_record(an_end(100)), a_record()
NEVER = record_of(begun(), an_event(Outcome.not_registered, 60), an_end(61))
REFUSED = record_of(
    begun(),
    an_event(Outcome.refused, 1, target=ONE, reason=a_reason("it is another pod's", ReasonCode.not_its_own)),
    an_end(61),
)
GIVEN_UP = record_of(
    begun(), an_event(Outcome.failed, 60, target=ONE, reason=a_reason("HTTP 403", ReasonCode.denied)), an_end(3)
)
UNSEEN = a_record(an_end(None))
EVERY = [SHORT, GRACEFUL, SERVING, NEVER, REFUSED, GIVEN_UP, UNSEEN]


def cells(record: DrainRecord, width: int | None, *, now: float = 30) -> dict[str, str]:
    """One drain's row, by its column's name."""
    head, row = drains_table([record], at(now), width=width).splitlines()
    names = head.split("  ")
    starts = {name.strip(): head.index(name) for name in (one.strip() for one in names) if name}
    ends = [*list(starts.values())[1:], None]
    return {name: row[start:end].strip() for (name, start), end in zip(starts.items(), ends, strict=True)}


def test_in_a_pipe_the_whole_verdict_has_a_column_and_its_reason_another() -> None:
    row = cells(SHORT, None)
    assert (row["SHUTDOWN"], row["WHY"]) == ("not graceful, 95 s short", "it has no preStop hook")
    assert (cells(GRACEFUL, None)["SHUTDOWN"], cells(GRACEFUL, None)["WHY"]) == ("graceful", "-")
    assert cells(SERVING, None)["SHUTDOWN"] == "safe after 12:01:35Z"
    assert cells(SERVING, None, now=100)["SHUTDOWN"] == "-"
    assert cells(UNSEEN, None)["SHUTDOWN"] == "not judged"
    assert cells(NEVER, None)["SHUTDOWN"] == "not judged"
    assert (cells(GIVEN_UP, None)["SHUTDOWN"], cells(GIVEN_UP, None)["WHY"]) == (
        "not graceful",
        "HTTP 403; it ended while callers were still given it",
    )


@pytest.mark.parametrize("width", [100, 110, 120, 130, 140, 200])
def test_a_column_of_a_terminal_has_few_words_and_is_never_cut(width: int) -> None:
    assert cells(SHORT, width)["SHUTDOWN"] == "95 s short"
    assert cells(SERVING, width)["SHUTDOWN"] == "safe after 12:01:35Z"
    assert cells(SERVING, width, now=-86_400)["SHUTDOWN"] == "safe after 06-01 12:01Z"
    assert cells(GIVEN_UP, width)["SHUTDOWN"] == "not graceful"
    assert cells(SHORT, width)["WHY"].rstrip("…") in "it has no preStop hook"


@pytest.mark.parametrize("width", [80, 99])
def test_a_narrow_terminal_has_the_verdict_before_its_reason(width: int) -> None:
    row = cells(SHORT, width)
    assert "SHUTDOWN" not in row
    assert row["WHY"].startswith("95 s short: it h")
    assert cells(GRACEFUL, width)["WHY"] == "-"
    assert cells(SERVING, width)["WHY"] == "-"
    assert cells(GIVEN_UP, width)["WHY"].startswith("HTTP 403; not graceful: it"), (
        "what is wrong with the drain itself comes first"
    )
    assert cells(REFUSED, width)["WHY"].startswith("it is another")


@pytest.mark.parametrize("width", [80, 90, 100, 120, 130, 140, 160])
def test_the_table_fits_its_terminal_whatever_the_verdicts_are(width: int) -> None:
    endless = a_record(an_end(1, why=f"its exec hook {'x' * 400}"))
    for now in (at(30), at(200_000)):
        for line in drains_table([*EVERY, endless], now, width=width).splitlines():
            assert len(line) <= width


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (SHORT, "shutdown:  not graceful, 95 s short: it has no preStop hook (deployment orders)"),
        (GRACEFUL, "shutdown:  graceful (deployment orders)"),
        (SERVING, "shutdown:  safe after 12:01:35Z"),
        (UNSEEN, "shutdown:  not judged: no watch saw it end (deployment orders)"),
        (
            NEVER,
            "shutdown:  not judged: not registered, as far as its region shows: no caller was given it "
            "(deployment orders)",
        ),
    ],
)
def test_one_drain_shows_its_shutdown_verdict_its_reason_and_its_owner(record: DrainRecord, line: str) -> None:
    text = drain_text(record, moments(record, at(30)), at(30), width=None)
    assert [one for one in text.splitlines() if one.startswith("shutdown:")] == [line]


def test_one_drain_without_a_shutdown_verdict_yet_has_no_such_line() -> None:
    for record in (record_of(begun()), record_of(begun(), an_end(1))):
        assert "shutdown:" not in drain_text(record, moments(record, at(30)), at(30), width=None)


SHUTDOWN_FIELDS = (
    "shutdown",
    "shutdown_text",
    "short_seconds",
    "shutdown_reason",
    "safe_at",
    "safe_after",
    "ended_at",
    "workload",
)


def in_json(record: DrainRecord, now: float = 30) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json_text(drain_answer(record, at(now))))
    return answer


def test_a_drain_in_json_has_its_verdict() -> None:
    answer = in_json(SHORT)
    assert {name: answer[name] for name in SHUTDOWN_FIELDS} == {
        "shutdown": "not_graceful",
        "shutdown_text": "not graceful, 95 s short",
        "short_seconds": 95,
        "shutdown_reason": "it has no preStop hook",
        "safe_at": "2025-06-01T12:01:35.500000Z",
        "safe_after": None,
        "ended_at": "2025-06-01T12:00:01Z",
        "workload": "Deployment/orders",
    }
    assert [part["safe_at"] for part in answer["instances"]] == [answer["safe_at"]]


def test_a_drain_in_json_has_its_pods_safe_time_once_it_is_known() -> None:
    answer = in_json(SERVING)
    assert (answer["shutdown"], answer["shutdown_text"], answer["short_seconds"]) == ("pending", "", None)
    assert answer["safe_after"] == answer["safe_at"] == "2025-06-01T12:01:35.500000Z"
    assert in_json(SERVING, 96)["safe_after"] is None
    nothing = in_json(record_of(begun()))
    assert [nothing[name] for name in SHUTDOWN_FIELDS] == ["pending", "", None, "", None, None, None, ""]


@pytest.mark.parametrize("record", EVERY)
def test_each_drain_in_json_is_as_the_document_describes_it(record: DrainRecord) -> None:
    answers = (
        (DrainAnswer, drain_answer(record, at(30))),
        (TimelineAnswer, timeline_answer(record, at(30))),
    )
    for kind, answer in answers:
        _, schemas = msgspec.json.schema_components([kind])
        text = json_text(answer)
        assert msgspec.json.decode(text, type=kind) == answer
        assert set(json.loads(text)) == set(schemas[kind.__name__]["required"])


def timeline(record: DrainRecord, now: float) -> list[tuple[float, str, str, bool]]:
    def shown(one: Moment) -> tuple[float, str, str, bool]:
        return (one.at - NOON).total_seconds(), one.what, one.detail, one.ahead

    kinds = ("safe after", "ended serving", "no caller uses it any more")
    return [shown(one) for one in moments(record, at(now)) if one.what in kinds]


CACHED = "by what callers have cached"


def test_a_timeline_shows_until_when_the_pod_has_to_serve() -> None:
    assert timeline(SERVING, 30) == [(95.5, "safe after", CACHED, True)]
    assert timeline(SERVING, 100) == [(95.5, "no caller uses it any more", CACHED, False)]


def test_a_timeline_shows_when_it_ended_serving_and_its_verdict() -> None:
    verdict = "not graceful, 95 s short; it has no preStop hook"
    assert timeline(SHORT, 30) == [
        (1, "ended serving", verdict, False),
        (95.5, "no caller uses it any more", CACHED, True),
    ]
    assert timeline(a_record(an_end(100, why="its sleep hook waits 100 s")), 200)[-1] == (
        100,
        "ended serving",
        "graceful; its sleep hook waits 100 s",
        False,
    )
    assert timeline(record_of(begun(), an_end(1)), 30) == [(1, "ended serving", "it has no preStop hook", False)]


def test_a_timeline_has_no_end_that_no_watch_saw_and_none_after_a_restore() -> None:
    assert timeline(UNSEEN, 100) == [(95.5, "no caller uses it any more", CACHED, False)]
    put_back = a_record(an_event(Outcome.restored, 5, BY_HAND, target=ONE), command=BY_HAND)
    assert timeline(put_back, 30) == []


class Counted:
    """The metrics of an ops."""

    def __init__(self, *records: DrainRecord) -> None:
        self.metrics = Metrics(ops=True)
        for record in records:
            self.metrics.shut_down(record, shutdown_of(record))

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(self.metrics.exposition().decode())
        return {
            tuple(one.labels[label] for label in ("workload", "verdict", "reason") if label in one.labels): one.value
            for family in families
            for one in family.samples
            if one.name == name
        }

    @property
    def shutdowns(self) -> dict[tuple[str, ...], float]:
        return self.samples("eureka_drain_shutdowns_total")

    @property
    def short(self) -> dict[tuple[str, ...], float]:
        return self.samples("eureka_drain_shutdown_short_seconds_total")


ORDERS = "shop/deployment/orders"


def test_shutdowns_are_counted_by_workload_with_what_ended_them() -> None:
    killed = a_record(an_end(3, end_cause=EndCause.killed))
    counted = Counted(SHORT, SHORT, killed, GRACEFUL, UNSEEN)
    assert counted.shutdowns == {
        (ORDERS, "not_graceful", "no_hook"): 2,
        (ORDERS, "not_graceful", "killed"): 1,
        (ORDERS, "graceful", ""): 1,
        (ORDERS, "not_judged", "unknown"): 1,
    }
    assert counted.short == {(ORDERS,): 95 + 95 + 93}, "ends are known to the second"


def test_what_was_never_taken_out_is_counted_with_why() -> None:
    assert Counted(NEVER, REFUSED, GIVEN_UP).shutdowns == {
        (ORDERS, "not_judged", "not_registered"): 1,
        (ORDERS, "not_judged", "refused"): 1,
        (ORDERS, "not_graceful", "failed"): 1,
    }
    assert Counted(NEVER).short == {}


@pytest.mark.parametrize("end_cause", EndCause)
def test_each_reason_is_one_word_of_a_fixed_set(end_cause: EndCause) -> None:
    [(_, verdict, reason)] = Counted(a_record(an_end(1, end_cause=end_cause, why="x" * 500))).shutdowns
    assert (verdict, reason) == (ShutdownVerdict.not_graceful, end_cause)


def test_whoever_may_name_workloads_cannot_fill_the_memory() -> None:
    records = [a_record(an_end(1, workload=f"made-up-{number}")) for number in range(MAX_WORKLOADS + 50)]
    counted = Counted(*records, records[0])
    assert len({workload for workload, *_ in counted.shutdowns}) == MAX_WORKLOADS + 1
    assert counted.shutdowns[OTHER, "not_graceful", "no_hook"] == 50
    assert counted.shutdowns["shop/deployment/made-up-0", "not_graceful", "no_hook"] == 2, (
        "the first ones keep their series"
    )


def test_only_ops_counts_shutdowns() -> None:
    for metrics in (Metrics(watch=True), Metrics(work=["eu"])):
        metrics.shut_down(SHORT, shutdown_of(SHORT))
        assert b"eureka_drain_shutdown" not in metrics.exposition()


def test_a_drain_of_two_instances_is_one_pod() -> None:
    record = a_record(out(20, LONG_NAMED, target=SECOND), an_end(1))
    assert Counted(record).shutdowns == {(ORDERS, "not_graceful", "no_hook"): 1}
    assert Counted(short_by(94)).short == {(ORDERS,): 94}
