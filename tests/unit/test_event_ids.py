"""Which entries of the log say the same, so that a reader takes one of them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.domain.commands import Stage, make_restore
from controller.domain.events import FOUND_SO, Event, Outcome, make_restored_event
from controller.domain.ledger import Ledger
from controller.domain.stage_decisions import Report
from controller.flows.step_result import event_of
from tests.unit.building import POD_IP, a_command, a_pod, a_reason, a_target, at
from tests.unit.test_stages import observe

KEY = (a_command().drain_id, "ORDERS", "orders-0:orders:8080")


def said(outcome: Outcome, seconds: float = 60, *, stage: Stage = Stage.retain, **facts: Any) -> Event:
    seen = observe(a_target(stage=stage), None, None, now=seconds, **facts)
    return event_of(seen, Report(outcome=outcome))


@pytest.mark.parametrize(
    ("stage", "is_held", "same"),
    [(Stage.retain, False, True), (Stage.take_out, True, True), (Stage.take_out, False, False)],
)
def test_what_one_copy_deletes_and_another_finds_gone_ends_once(stage: Stage, is_held: bool, same: bool) -> None:
    removed = said(Outcome.removed, stage=Stage.delete)
    found_gone = said(Outcome.already_gone, stage=stage, is_held=is_held)
    assert (removed.event_id == found_gone.event_id) is same


def test_copies_that_find_an_instance_in_different_states_end_it_once() -> None:
    found = [said(outcome, stage=Stage.take_out) for outcome in sorted(FOUND_SO)]
    assert len({event.event_id for event in found}) == 1
    removed = said(Outcome.removed, stage=Stage.delete)
    assert removed.event_id != found[0].event_id, "who deletes it has had it out"
    handed_over = [said(outcome, stage=Stage.retain) for outcome in sorted(FOUND_SO)]
    assert len({event.event_id for event in handed_over}) == 3, "what the drain held has come to a new state"


def test_what_comes_of_an_instance_that_is_out_anew_is_another_event() -> None:
    first = [said(Outcome.out_of_service, stage=Stage.take_out), said(Outcome.removed)]
    again = [said(Outcome.out_of_service, stage=Stage.take_out, is_over=True), said(Outcome.removed, turn=1)]
    assert len({event.event_id for event in first + again}) == 4
    late = said(Outcome.removed, is_over=True)
    assert late.event_id == first[-1].event_id, "a copy that ends as the other one did says nothing new"


def test_the_ledger_counts_how_often_an_instance_is_out_anew() -> None:
    ledger = Ledger()
    for turn in range(3):
        assert ledger.turn(KEY) == max(0, turn - 1)
        known = {"is_over": ledger.ending(KEY) is not None, "turn": ledger.turn(KEY)}
        out = said(Outcome.out_of_service, 100 * turn, stage=Stage.take_out, **known)
        for _ in range(2):
            ledger.apply(out)
            assert ledger.turn(KEY) == turn
        removed = said(Outcome.removed, 100 * turn + 50, turn=ledger.turn(KEY))
        for _ in range(2):
            ledger.apply(removed)
            ledger.apply(out)


def test_what_is_given_back_once_more_is_another_event() -> None:
    ledger = Ledger()
    ledger.apply(said(Outcome.out_of_service, stage=Stage.take_out))
    (held,) = ledger.held_by(KEY[0], "eu")
    command = make_restore("test", "eu", a_pod("uid-2", ip=POD_IP), (held,), at(90))
    first, again = (
        make_restored_event(command, held, at(91), nodes=(), reason=a_reason("taken over"), turn=turn)
        for turn in (0, 1)
    )
    assert first.event_id != again.event_id
