"""What was asked for, from the drains' records: one request each, whoever asked, and the same after a restart."""

from __future__ import annotations

from dataclasses import replace

from controller.domain.drain_index import DrainIndex
from controller.domain.events import Outcome, make_event
from controller.domain.replay_plan import Requester
from controller.domain.requests import request_id, requests_of
from tests.unit.building import a_command, a_target, at

ALICE = Requester(by="alice", at=at(100), why="INC-4711")


def records_of(*said: tuple[str, Requester | None, Outcome]) -> DrainIndex:
    """Drains by their ids, each asked for and come to something."""
    index = DrainIndex()
    for drain_id, requester, outcome in said:
        command = replace(a_command(), drain_id=drain_id)
        index.apply(make_event(command, Outcome.requested, at(0)))
        if requester is not None:
            command = replace(
                command, requested_by=requester.by, requested_at=requester.at, requested_why=requester.why
            )
            index.apply(make_event(command, Outcome.requested, requester.at))
        if outcome is not Outcome.requested:
            index.apply(make_event(command, outcome, at(200), target=a_target()))
    return index


def test_drains_that_were_asked_for_together_are_one_request() -> None:
    index = records_of(
        ("a", ALICE, Outcome.out_of_service), ("b", ALICE, Outcome.requested), ("c", None, Outcome.removed)
    )
    [request] = requests_of(index)
    assert (request.requester, request.id) == (ALICE, request_id(ALICE))
    assert [record.drain_id for record in request.drains] == ["a", "b"]
    assert (request.outcomes, request.open) == ({Outcome.out_of_service: 1}, 1)


def test_another_time_person_or_reason_is_another_request() -> None:
    others = (replace(ALICE, at=at(101)), replace(ALICE, by="bob"), replace(ALICE, why=""))
    index = records_of(*((f"{number}", one, Outcome.removed) for number, one in enumerate((ALICE, *others))))
    found = requests_of(index)
    assert found[0].requester == others[0]
    assert {request.requester for request in found} == {ALICE, *others}
    assert len({request.id for request in found}) == 4


def test_a_drain_is_at_the_request_that_was_made_last() -> None:
    index = records_of(("a", ALICE, Outcome.failed))
    again = replace(ALICE, at=at(300), by="bob")
    command = replace(a_command(), drain_id="a", requested_by=again.by, requested_at=again.at, requested_why=again.why)
    index.apply(make_event(command, Outcome.requested, again.at))
    [request] = requests_of(index)
    assert (request.requester, request.open) == (again, 1)


def test_what_one_sweep_sent_is_one_request_and_the_next_sweep_is_another() -> None:
    index = DrainIndex()
    for drain_id, seconds in (("a", 100.0), ("b", 100.001), ("c", 130.0), ("d", 3_700.0)):
        command = replace(a_command(), drain_id=drain_id, requested_by="sweep")
        index.apply(make_event(command, Outcome.requested, at(seconds)))
    assert [[record.drain_id for record in one.drains] for one in requests_of(index)] == [["d"], ["a", "b", "c"]]
