"""Tables fit the terminal that they are for, and nothing in them can command it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.dead_messages import DeadMessage
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Event, Outcome, make_event
from controller.domain.printable import printable
from controller.domain.replay_plan import ReplayAction, ReplayDecision, ReplayItem
from controller.domain.timeline import moments
from controller.ops.tables import (
    counted,
    dead_letters_table,
    drain_text,
    drains_table,
    duration_text,
    plan_table,
    table,
)
from controller.terminal import report
from tests.unit.building import a_command, a_pod, a_reason, a_target, at, readings, terminating

WIDTHS = (80, 100, 140)
LONG = "x" * 120
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\t\x00\x9b31m\u202eevil\ud800"


def an_event(outcome: Outcome, detail: str = "", **facts: str) -> Event:
    pod = terminating(a_pod(**{"name": "orders-7cd9c4fbcc-nlttw", **facts}))
    command = a_command(pod, requested_by=f"ann@{LONG}", requested_at=at(0), requested_why=f"because {LONG}")
    target = a_target(app=f"ORDERS{LONG}", id=f"10.1.0.7:orders:{LONG}")
    return make_event(
        command, outcome, at(1), target=target, reason=a_reason(detail) if detail else None, nodes=readings(None, None)
    )


def a_record(detail: str = f"a reason of some length {LONG}", **facts: str) -> DrainRecord:
    events = [an_event(Outcome.requested, **facts), an_event(Outcome.out_of_service, detail, **facts)]
    events += [an_event(Outcome.refused, f"{detail} {number}", **facts) for number in range(3)]
    record = new_record(events[0])
    for event in events:
        record.apply(event, timeline=True)
    return record


def an_item(action: ReplayAction) -> ReplayItem:
    return ReplayItem(
        drain_id="u4ogxdsnands54l3",
        region="eu-central-1",
        pod=f"shop/orders-{LONG}",
        apps=("ORDERS", "PAYMENTS"),
        decision=ReplayDecision(action=action, reason=f"a reason {LONG}"),
    )


def a_dead_message(number: int) -> DeadMessage:
    item = a_command() if number else None
    return DeadMessage(
        number=number,
        region="r" * 63,
        reason=f"HTTP 403 {LONG}",
        type="drain.command",
        message_id=LONG,
        died_at=at(0),
        item=item,
        problem="" if item else "not a valid drain.command",
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_fits_its_terminal(width: int) -> None:
    record = a_record()
    for now in (at(60), at(200_000)):
        fits(drains_table([record, a_record("")], now, width=width), width)
    fits(plan_table([an_item(action) for action in ReplayAction], width=width), width)
    fits(dead_letters_table([a_dead_message(number) for number in range(3)], width=width), width)
    timeline = drain_text(record, moments(record, at(60)), at(60), width=width).partition("\n\n")[2]
    assert timeline.startswith("TIME ")
    fits(timeline, width)


def fits(text: str, width: int) -> None:
    for line in text.splitlines():
        assert len(line) <= width, line


def test_in_a_pipe_nothing_is_cut() -> None:
    record = a_record()
    texts = [
        drains_table([record], at(60), width=None),
        plan_table([an_item(ReplayAction.drain)], width=None),
        dead_letters_table([a_dead_message(1)], width=None),
        drain_text(record, moments(record, at(60)), at(60), width=None),
    ]
    for text in texts:
        assert LONG in text
        assert "…" not in text


def test_the_state_and_the_drains_id_are_never_cut() -> None:
    line = drains_table([a_record()], at(60), width=80).splitlines()[1]
    assert Outcome.refused.value in line
    assert line.endswith(a_record().drain_id)


def test_a_terminal_as_narrow_as_can_be_gets_whole_states_and_no_error() -> None:
    for width in (1, 20, 40):
        assert Outcome.refused.value in drains_table([a_record()], at(60), width=width)


def test_nothing_that_a_pod_or_a_node_wrote_commands_the_terminal() -> None:
    record = a_record(HOSTILE, name=HOSTILE, namespace=HOSTILE)
    texts = [
        drains_table([record], at(60), width=None),
        drain_text(record, moments(record, at(60)), at(60), width=None),
        plan_table([an_item(ReplayAction.drain)], width=80),
    ]
    for text in texts:
        assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text) is None
        text.encode()
    assert len(drains_table([record], at(60), width=None).splitlines()) == 2, "a newline makes no line"


@given(st.text())
def test_what_is_printed_is_printable_and_as_long_as_before(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


@given(
    st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=20)), max_size=5),
    st.sampled_from((None, 1, 30, 80, 140)),
)
def test_a_table_has_a_line_for_its_head_and_for_each_row(rows: list[tuple[str, str, str]], width: int | None) -> None:
    lines = table(("ONE", "TWO", "WHOLE"), rows, width=width, whole=("WHOLE",)).split("\n")
    assert len(lines) == len(rows) + 2
    if width is not None and width >= 8 + 8 + 20 + 4:
        assert max(map(len, lines)) <= width


def test_without_drains_there_is_no_table() -> None:
    assert drains_table([], at(0), width=80) == ""


def test_what_follows_has_no_second_head() -> None:
    assert len(drains_table([a_record()], at(0), width=80, head=False).splitlines()) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.9996, "1 s"), (59.6, "1 min"), (59.4, "59 s"), (9.96, "10 s"), (3_599.9, "1 h"), (86_400, "1 d")],
)
def test_a_duration_has_the_larger_unit_once_it_is_rounded_up_to_it(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


def test_things_are_counted_the_most_frequent_first() -> None:
    assert counted(["a", "b", "b"]) == "2 b, 1 a"
    assert counted([]) == "none"


def test_no_foreign_words_in_a_message_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(f"left where it is: \x1b[2J\x9b31m{chr(0x202E)}a\nforged: line of eu: no JSON")
    assert capsys.readouterr().err == "left where it is: ?[2J?31m?a?forged: line of eu: no JSON\n"
