"""The next step of one instance, for every combination of what one to three nodes say."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.annotations import PodAnnotations
from controller.domain.events import Outcome
from controller.domain.instances import Condition, Instance
from controller.domain.stages import (
    DENIED_ATTEMPTS,
    Delete,
    Finish,
    Hold,
    Look,
    Settled,
    TakeOut,
    Wait,
    check_ownership,
    decide_absent,
    decide_delete,
    decide_retention,
    decide_take_out,
    is_hopeless,
    renewals,
)
from tests.unit.building import NODES, a_command, a_target, an_instance, at, out, readings

SAYS: dict[str, Instance | Condition | None] = {
    "up": an_instance(),
    "starting": an_instance(status="STARTING"),
    "down": an_instance(status="DOWN"),
    "stubborn": an_instance(status="OUT_OF_SERVICE"),
    "flipped": an_instance(status="UP", override="OUT_OF_SERVICE"),
    "out": out(),
    "out, starting": out(status="STARTING"),
    "absent": None,
    "unreachable": Condition.unreachable,
    "failing": Condition.failing,
    "denied": Condition.denied,
}
SERVING = {"up", "starting", "down", "stubborn", "flipped"}
SILENT = {"unreachable", "failing", "denied"}
EVERY = [states for size in (1, 2, 3) for states in product(SAYS, repeat=size)]


def heard(states: tuple[str, ...]) -> tuple[Any, ...]:
    return readings(*(SAYS[state] for state in states))


def expected_first(states: tuple[str, ...]) -> object:
    """The rules: write where it may serve; else wait for who is silent; else it is settled."""
    serving = tuple(node for node, state in zip(NODES, states, strict=False) if state in SERVING)
    if serving:
        return TakeOut(nodes=serving, stubborn=tuple(n for n, s in zip(NODES, states, strict=False) if s == "stubborn"))
    if SILENT & set(states):
        return Wait
    return Settled()


def shape(decision: object) -> object:
    """What of a decision the rules speak of."""
    if isinstance(decision, Wait):
        assert decision.trouble
        return Wait
    return decision.outcome if isinstance(decision, Finish) else decision


def test_taking_out_follows_the_rules_in_every_combination() -> None:
    for states in EVERY:
        assert shape(decide_take_out(heard(states))) == expected_first(states), states


def test_retiring_follows_the_same_rules_before_it_asks_for_silence() -> None:
    for states in EVERY:
        now = heard(states)
        target = a_target(looked_at=at(100), renewals=renewals(now))
        decision = decide_retention(target, now, at(100_000), end_at=at(30), retention=timedelta(0))
        first = expected_first(states)
        at_rest = Outcome.already_gone if set(states) == {"absent"} else Delete(nodes=NODES[: len(states)])
        assert shape(decision) == (at_rest if first == Settled() else first), states


def test_what_no_node_holds_is_gone_only_when_it_has_stayed_away_for_longer_than_a_heartbeat() -> None:
    absent = heard(("absent", "absent"))
    decided = [
        decide_absent(a_target(looked_at=since, renewals=renewed), absent, at(100))
        for since, renewed in ((None, {}), (at(50), {"http://eureka-0:8761/eureka": at(0)}), (at(66), {}), (at(64), {}))
    ]
    assert [type(decision) for decision in decided] == [Look, Look, Look, Finish]
    assert decide_absent(a_target(looked_at=at(0)), heard(("absent", "out")), at(100)) is None


def test_a_deletion_is_done_only_when_every_node_has_said_that_it_is_gone() -> None:
    for states in EVERY:
        decision = decide_delete(a_target(renewals=renewals(heard(states))), heard(states))
        if set(states) - SILENT - {"absent"}:
            assert isinstance(decision, Delete), states
        elif SILENT & set(states):
            assert isinstance(decision, Wait), states
        else:
            assert shape(decision) == Outcome.removed, states


def test_what_shows_another_renewal_than_the_one_noted_is_not_deleted() -> None:
    noted = {node: at(-1) for node in NODES}
    for states in EVERY:
        decision = decide_delete(a_target(renewals=noted), heard(states))
        assert not isinstance(decision, Delete), states
        if set(states) - SILENT - {"absent"}:
            assert isinstance(decision, Look), states


def test_the_trouble_names_each_node_that_stands_in_the_way_and_no_other() -> None:
    decision = decide_take_out(heard(("out", "unreachable", "failing")))
    assert isinstance(decision, Wait)
    assert NODES[0] not in decision.trouble
    assert f"{NODES[1]}: unreachable" in decision.trouble
    assert f"{NODES[2]}: failing (HTTP 500)" in decision.trouble


def retire(target: Any, *answers: Any, now: float, retention: float = 0, end: float = 30) -> object:
    return decide_retention(target, readings(*answers), at(now), end_at=at(end), retention=timedelta(seconds=retention))


def test_the_first_look_only_notes() -> None:
    assert isinstance(retire(a_target(), out(), out(), now=10_000), Look)


@given(
    interval=st.integers(1, 300),
    elapsed=st.integers(0, 1_000),
    retention=st.integers(0, 600),
    end=st.integers(-100, 600),
    looked=st.integers(0, 300),
)
def test_silence_takes_two_looks_further_apart_than_a_renewal_and_the_retention(
    interval: int, elapsed: int, retention: int, end: int, looked: int
) -> None:
    now = out(renewal_interval=timedelta(seconds=interval))
    target = a_target(looked_at=at(looked), renewals=renewals(readings(now, now)))
    decision = retire(target, now, now, now=looked + elapsed, retention=retention, end=end)
    ended_at = min(looked + interval + 5, end)
    if isinstance(decision, Delete):
        assert elapsed > interval
        assert looked + elapsed >= ended_at + retention
        assert decision.nodes == NODES[:2]
    else:
        assert isinstance(decision, Hold)
        assert elapsed < interval + 5 or looked + elapsed < ended_at + retention
        assert timedelta(0) < decision.after <= timedelta(seconds=max(interval + 5, retention) + looked + 100)


@pytest.mark.parametrize("minutes", [6, 10, 30])
def test_a_client_that_renews_seldom_is_not_taken_for_dead_between_two_of_its_heartbeats(minutes: int) -> None:
    now = out(renewal_interval=timedelta(minutes=minutes))
    target = a_target(looked_at=at(100), renewals=renewals(readings(now)))
    assert not isinstance(retire(target, now, now=100 + 60), Delete)


@given(
    st.lists(st.sampled_from(["same", "newer", "older", "absent", "untold"]), min_size=1, max_size=3),
    st.integers(0, 10**6),
)
def test_nothing_is_deleted_while_any_node_shows_another_renewal_than_before(changes: list[str], elapsed: int) -> None:
    before = readings(*(None if change == "untold" else out() for change in changes))
    shown = {"same": out(), "newer": out(renewed_at=at(81)), "older": out(renewed_at=at(79)), "absent": None}
    after = [shown.get(change, out()) for change in changes]
    decision = retire(a_target(looked_at=at(100), renewals=renewals(before)), *after, now=100 + elapsed)
    if set(changes) != {"same"}:
        assert not isinstance(decision, Delete)


def test_a_process_that_heartbeats_after_the_deadline_is_looked_at_less_and_less_often() -> None:
    beating = out(renewed_at=at(500))
    waits = []
    for attempt in range(1, 12):
        decision = retire(a_target(looked_at=at(400), attempt=attempt), beating, now=600)
        assert isinstance(decision, Look)
        waits.append(decision.after)
    assert waits == sorted(waits)
    assert waits[-1] <= timedelta(minutes=5)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(
    ("holder", "outcome"),
    [
        (an_instance(registered_at=at(500)), Outcome.superseded),
        (an_instance(ip="10.1.0.99", host_name="x"), Outcome.refused),
        (an_instance(host_name="other"), Outcome.superseded),
    ],
    ids=["newer", "elsewhere", "same address, other host name"],
)
def test_one_node_that_shows_another_holder_is_enough_to_end_it(
    position: int, holder: Instance, outcome: Outcome
) -> None:
    answers: list[Any] = [out(), out(), out()]
    answers[position] = holder
    decision = check_ownership(a_target(), a_command(), PodAnnotations(), readings(*answers))
    assert isinstance(decision, Finish)
    assert decision.outcome is outcome
    assert decision.reason


def test_the_guard_lets_pass_what_is_still_the_pods_or_not_told() -> None:
    now = readings(out(), None, Condition.unreachable)
    assert check_ownership(a_target(), a_command(), PodAnnotations(), now) is None


@pytest.mark.parametrize(
    ("state", "attempt", "hopeless"),
    [("denied", DENIED_ATTEMPTS, True), ("denied", DENIED_ATTEMPTS - 1, False), ("failing", 1_000, False)],
)
def test_only_a_node_that_goes_on_denying_us_is_hopeless(state: str, attempt: int, hopeless: bool) -> None:
    assert is_hopeless(heard(("out", state)), attempt) is hopeless
