"""What each stage decides about one instance, for every combination of what one to three nodes show."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.annotations import PodAnnotations
from controller.domain.commands import Stage, Target
from controller.domain.events import Outcome
from controller.domain.instances import Condition, Instance
from controller.domain.reason import ReasonCode
from controller.domain.silence import renewals
from controller.domain.stage_decisions import (
    Conclude,
    Continue,
    Delete,
    Finish,
    Observation,
    Obstructed,
    StageDecision,
    TakeOut,
)
from controller.domain.stages import MAX_DENIED_ATTEMPTS, STAGES, is_hopeless
from controller.domain.takeover import check_ownership
from tests.unit.building import NODES, POD_IP, a_command, a_living_pod, a_target, an_instance, at, out, readings

SAYS: dict[str, Instance | Condition | None] = {
    "up": an_instance(),
    "starting": an_instance(status="STARTING"),
    "down": an_instance(status="DOWN"),
    "out by itself": an_instance(status="OUT_OF_SERVICE"),
    "flipped": an_instance(status="UP", override="OUT_OF_SERVICE"),
    "out": out(),
    "out, starting": out(status="STARTING"),
    "absent": None,
    "unreachable": Condition.unreachable,
    "failing": Condition.failing,
    "denied": Condition.denied,
}
SERVING = {"up", "starting", "down", "out by itself", "flipped"}
SILENT = {"unreachable", "failing", "denied"}
HELD = SERVING | {"out", "out, starting"}
EVERY = [states for size in (1, 2, 3) for states in product(SAYS, repeat=size)]


def observe(
    target: Target,
    *answers: Any,
    now: float = 100_000,
    end: float = 30,
    gone_at: datetime | None = None,
    proved: bool = False,
    retention: float = 0,
    **facts: Any,
) -> Observation:
    return Observation(
        command=a_command(end_at=at(end), gone_at=gone_at, end_proved=proved),
        annotations=PodAnnotations(),
        target=target,
        readings=readings(*answers),
        now=at(now),
        retention=timedelta(seconds=retention),
        window=timedelta(seconds=95),
        **facts,
    )


def decide(target: Target, *answers: Any, **facts: Any) -> StageDecision:
    return STAGES[target.stage](observe(target, *answers, **facts))


def heard(states: tuple[str, ...]) -> list[Any]:
    return [SAYS[state] for state in states]


@pytest.mark.parametrize("stage", [Stage.take_out, Stage.retain])
def test_where_it_may_serve_it_is_taken_out_and_nowhere_else(stage: Stage) -> None:
    assert len(EVERY) == 11 + 11**2 + 11**3
    for states in EVERY:
        serving = tuple(node for node, state in zip(NODES, states, strict=False) if state in SERVING)
        decision = decide(a_target(stage=stage), *heard(states))
        assert (decision.nodes if isinstance(decision, TakeOut) else ()) == serving, states


@pytest.mark.parametrize("stage", list(Stage))
def test_a_node_that_does_not_answer_proves_nothing(stage: Stage) -> None:
    decisions = [decide(a_target(stage=stage), *heard(states)) for states in EVERY if SILENT & set(states)]
    assert {type(decision) for decision in decisions} <= {TakeOut, Obstructed, Delete, Continue}
    assert [decision for decision in decisions if getattr(decision, "report", None) is not None] == []


def test_what_is_out_at_every_node_is_reported_and_retained() -> None:
    everywhere_out = [states for states in EVERY if {"absent"} != set(states) <= {"out", "out, starting", "absent"}]
    assert len(everywhere_out) == 2 + (3**2 - 1) + (3**3 - 1)
    for states in everywhere_out:
        decision = decide(a_target(), *heard(states), now=10)
        assert isinstance(decision, Continue), states
        assert decision.target.stage is Stage.retain
        assert decision.report is not None
        assert decision.report.outcome is Outcome.out_of_service
        assert decision.report.safe_at == at(10 + 95)


@pytest.mark.parametrize("status", ["UP", "DOWN"])
@pytest.mark.parametrize(
    ("instance_id", "registered_at", "kind"),
    [("orders-0:orders:8080", -60, Conclude), ("orders-0:orders:8080", 5, TakeOut), ("orders-main", -60, TakeOut)],
    ids=["put back by hand", "the node has restarted", "others may have the id"],
)
def test_without_removal_only_what_a_person_puts_back_is_left(
    instance_id: str, registered_at: float, kind: type[Any], status: str
) -> None:
    target = a_target(id=instance_id, stage=Stage.retain)
    shown = an_instance(id=instance_id, status=status, registered_at=at(registered_at))
    assert type(decide(target, out(id=instance_id), shown, remove=False)) is kind


def test_without_removal_it_is_out_without_an_end_of_retention() -> None:
    decision = decide(a_target(), out(), remove=False)
    assert isinstance(decision, Continue)
    assert decision.report is not None
    assert decision.report.outcome is Outcome.out_of_service
    assert decision.report.retention_ends_at is None


@pytest.mark.parametrize(
    ("since", "renewed", "is_gone"),
    [(None, {}, False), (50, {NODES[0]: at(0)}, False), (66, {}, False), (64, {}, True)],
)
@pytest.mark.parametrize("stage", [Stage.take_out, Stage.retain])
def test_what_no_node_holds_is_gone_only_after_a_heartbeats_time(
    since: float | None, renewed: Any, is_gone: bool, stage: Stage
) -> None:
    target = a_target(stage=stage, silent_since=None if since is None else at(since), renewals=renewed)
    decision = decide(target, None, None, now=100)
    if is_gone:
        assert isinstance(decision, Finish)
        assert decision.report.outcome is Outcome.already_gone
    else:
        assert isinstance(decision, Continue)
        assert decision.report is None
        assert decision.target.renewals == {}


@pytest.mark.parametrize("stage", [Stage.retain, Stage.delete])
def test_after_every_node_was_away_its_silence_is_proved_anew(stage: Stage) -> None:
    known = renewals(readings(out()))
    decision = decide(a_target(stage=stage, silent_since=None, renewals=known), out(), now=900)
    assert isinstance(decision, Continue)
    assert (decision.target.stage, decision.target.silent_since) == (Stage.retain, at(900))


def test_it_is_removed_only_when_every_node_has_said_that_it_is_gone() -> None:
    def delete(states: tuple[str, ...]) -> StageDecision:
        target = a_target(stage=Stage.delete, silent_since=at(0), renewals=renewals(readings(*heard(states))))
        return decide(target, *heard(states))

    assert {type(delete(states)) for states in EVERY if HELD & set(states)} == {Delete}
    assert {type(delete(states)) for states in EVERY if SILENT & set(states) and not HELD & set(states)} == {Obstructed}
    for states in (("absent",), ("absent",) * 2, ("absent",) * 3):
        decision = delete(states)
        assert isinstance(decision, Finish)
        assert decision.report.outcome is Outcome.removed


def test_what_shows_another_renewal_than_the_recorded_one_is_not_deleted() -> None:
    noted = {node: at(-1) for node in NODES}
    decisions = {
        states: decide(a_target(stage=Stage.delete, silent_since=at(0), renewals=noted), *heard(states))
        for states in EVERY
    }
    assert Delete not in {type(decision) for decision in decisions.values()}
    of_held = [decision for states, decision in decisions.items() if HELD & set(states)]
    assert {type(decision) for decision in of_held} == {Continue}
    assert {decision.target.stage for decision in of_held if isinstance(decision, Continue)} == {Stage.retain}


def test_after_three_deletes_it_is_reported_to_come_back() -> None:
    known = renewals(readings(out()))
    tries = [
        decide(a_target(stage=Stage.delete, silent_since=at(0), renewals=known, attempt=attempt), out())
        for attempt in range(1, 3 + 3)
    ]
    assert [isinstance(one, Delete) for one in tries] == [True, True, True, False, True]
    [obstructed] = [one for one in tries if isinstance(one, Obstructed)]
    assert obstructed.reason.code is ReasonCode.comes_back


def test_the_trouble_names_each_node_that_stands_in_the_way() -> None:
    decision = decide(a_target(), *heard(("out", "unreachable", "failing")))
    assert isinstance(decision, Obstructed)
    assert decision.reason.code is ReasonCode.unreachable
    assert decision.reason.detail == f"{NODES[1]}: unreachable; {NODES[2]}: failing (HTTP 500)"


def retain(target: Target, *answers: Any, **facts: Any) -> Continue:
    decision = decide(target, *answers, **facts)
    assert isinstance(decision, Continue)
    return decision


def test_the_first_look_only_notes() -> None:
    decision = retain(a_target(stage=Stage.retain), out(), out(), now=10_000)
    assert decision.target.stage is Stage.retain
    assert decision.target.silent_since == at(10_000)


@given(
    interval=st.integers(1, 300),
    elapsed=st.integers(0, 1_000),
    retention=st.integers(0, 600),
    end=st.integers(0, 600),
    looked=st.integers(0, 300),
)
def test_silence_takes_two_looks_further_apart_than_a_renewal(
    interval: int, elapsed: int, retention: int, end: int, looked: int
) -> None:
    shown = out(renewal_interval=timedelta(seconds=interval))
    target = a_target(stage=Stage.retain, silent_since=at(looked), renewals=renewals(readings(shown, shown)))
    now = looked + elapsed
    onward = retain(target, shown, shown, now=now, retention=retention, end=end).target
    if onward.stage is Stage.delete:
        assert elapsed > interval
        assert now >= min(looked + interval, end) + retention
    else:
        assert elapsed < interval + 5 or now < min(looked + interval + 5, end) + retention
        assert at(now) < onward.due_at <= at(now + max(interval + 5, retention) + looked + 100)


@pytest.mark.parametrize("minutes", [6, 10, 30])
def test_a_client_that_renews_seldom_is_not_taken_for_dead(minutes: int) -> None:
    shown = out(renewal_interval=timedelta(minutes=minutes))
    target = a_target(stage=Stage.retain, silent_since=at(100), renewals=renewals(readings(shown)))
    assert retain(target, shown, now=100 + 60).target.stage is Stage.retain


@given(
    st.lists(st.sampled_from(["same", "newer", "older", "absent", "unknown"]), min_size=1, max_size=3).filter(
        lambda changes: set(changes) != {"same"}
    ),
    st.integers(0, 10**6),
)
def test_another_renewal_at_any_node_keeps_it_from_being_deleted(changes: list[str], elapsed: int) -> None:
    before = readings(*(None if change == "unknown" else out() for change in changes))
    shown = {"same": out(), "newer": out(renewed_at=at(81)), "older": out(renewed_at=at(79)), "absent": None}
    after = [shown.get(change, out()) for change in changes]
    target = a_target(stage=Stage.retain, silent_since=at(100), renewals=renewals(before))
    decision = decide(target, *after, now=100 + elapsed)
    assert not (isinstance(decision, Continue) and decision.target.stage is Stage.delete)


def test_a_process_that_still_heartbeats_is_looked_at_again_and_again() -> None:
    beating = out(renewed_at=at(500))
    target = a_target(stage=Stage.retain, silent_since=at(400), renewals={NODES[0]: at(470)})
    onward = retain(target, beating, now=600).target
    assert onward.due_at == at(600 + 10)
    assert onward.silent_since == at(600), "its silence is to be proved anew"


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(
    ("holder", "outcome"),
    [
        (an_instance(registered_at=at(500), dirty_at=at(500)), Outcome.superseded),
        (an_instance(ip="10.1.0.99", host_name="x"), Outcome.refused),
        (an_instance(pod_uid="other"), Outcome.refused),
    ],
    ids=["newer", "elsewhere", "another pod's by its uid"],
)
def test_one_node_that_shows_another_holder_is_enough_to_end_it(
    position: int, holder: Instance, outcome: Outcome
) -> None:
    answers: list[Any] = [out(), out(), out()]
    answers[position] = holder
    target = a_target(last_dirty_at=at(-3590))
    decision = check_ownership(observe(target, *answers, gone_at=at(30)))
    assert isinstance(decision, Finish)
    assert decision.report.outcome is outcome
    assert decision.report.reason


def test_what_is_still_the_pods_or_not_known_passes() -> None:
    assert check_ownership(observe(a_target(), out(), None, Condition.unreachable)) is None


@pytest.mark.parametrize("is_used_again", [True, False])
def test_heartbeats_are_nobody_elses_until_the_address_is_used_again(is_used_again: bool) -> None:
    living = (a_living_pod(ip=POD_IP, created_at=at(20)),) if is_used_again else ()
    target = a_target(written_at=at(35), renewals_after_end={NODES[0]: at(130)})
    shown = out(registered_at=at(32), dirty_at=at(32), renewed_at=at(160))
    seen = observe(target, shown, now=75, gone_at=at(18))  # removed by force
    decision = check_ownership(replace(seen, command=replace(seen.command, living=living)))
    assert isinstance(decision, Finish) is is_used_again


@pytest.mark.parametrize("stage", [Stage.retain, Stage.give_back])
def test_what_serves_at_one_node_is_not_left_to_another_holder(stage: Stage) -> None:
    other = an_instance(ip="10.1.0.99", registered_at=at(40), renewed_at=at(40))
    target = a_target(stage=stage, may_have_override=True)
    waits = decide(target, other, an_instance(), now=100, gone_at=at(18))
    assert isinstance(waits, Continue)
    assert waits.target.silent_since == at(100)
    done = decide(target, other, other, now=100, gone_at=at(18))
    assert isinstance(done, Finish)


@pytest.mark.parametrize(
    ("state", "attempt", "hopeless"),
    [("denied", MAX_DENIED_ATTEMPTS, True), ("denied", MAX_DENIED_ATTEMPTS - 1, False), ("failing", 1_000, False)],
)
def test_only_a_node_that_goes_on_denying_us_is_hopeless(state: str, attempt: int, hopeless: bool) -> None:
    assert is_hopeless(readings(*heard(("out", state))), attempt) is hopeless


def test_what_somebody_else_has_just_set_is_no_heartbeat() -> None:
    facts: dict[str, Any] = {"gone_at": at(30), "proved": True, "retention": 300}
    target = a_target(stage=Stage.retain, may_have_override=True, last_dirty_at=at(-3590))
    for seconds, renewed in ((40, 120), (45, 130), (52, 130)):
        decision = decide(target, out(renewed_at=at(renewed)), now=seconds, **facts)
        assert isinstance(decision, Continue)
        target = decision.target
        assert (target.stage, target.shared_id) == (Stage.retain, False)
    decision = decide(target, out(renewed_at=at(160)), now=75, **facts)
    assert isinstance(decision, Continue)
    assert (decision.target.stage, decision.target.shared_id) == (Stage.give_back, True)


def test_what_a_node_that_was_away_kept_is_no_heartbeat_at_first() -> None:
    facts: dict[str, Any] = {"gone_at": at(30), "proved": True, "retention": 300}
    noted = a_target(
        stage=Stage.give_back, may_have_override=True, written_at=at(35), renewals_after_end={NODES[0]: at(100)}
    )
    kept = an_instance(renewed_at=at(290))  # a request that had waited there has lifted our override
    assert decide(noted, None, kept, now=300, **facts) == TakeOut(nodes=(NODES[1],))
    seen = retain(noted, out(renewed_at=at(100)), out(renewed_at=at(290)), now=300, **facts)
    assert not seen.target.shared_id
    again = retain(seen.target, out(renewed_at=at(130)), out(renewed_at=at(290)), now=330, **facts)
    assert not again.target.shared_id
    shared = retain(again.target, out(renewed_at=at(130)), out(renewed_at=at(320)), now=330, **facts)
    assert shared.target.shared_id


def test_what_is_registered_at_a_node_after_the_end_need_not_be_noted() -> None:
    facts: dict[str, Any] = {"gone_at": at(30), "proved": True, "retention": 300}
    noted = a_target(
        stage=Stage.retain, may_have_override=True, written_at=at(35), renewals_after_end={NODES[0]: at(100)}
    )
    anew = out(registered_at=at(200), renewed_at=at(290))
    shared = retain(noted, out(renewed_at=at(130)), anew, now=300, **facts)
    assert shared.target.shared_id
