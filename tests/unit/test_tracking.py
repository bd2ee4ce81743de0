"""What the tracker owes to one pod, in short sequences. Any interleaving of them: test_tracking_machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.domain.causes import Cause
from controller.domain.pods import Pod
from controller.domain.tracking import MAX_REMEMBERED, Tracker
from tests.unit.building import a_pod, at, confirm, terminating

ALIVE = a_pod()


def causes(tracker: Tracker) -> list[Cause]:
    return [due.cause for due in tracker.due()]


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda t: t.changed(terminating(ALIVE), at(0)), Cause.terminating),
        (lambda t: t.removed(ALIVE, at(0)), Cause.deleted),
        (lambda t: t.removed(terminating(ALIVE), at(0)), Cause.deleted),
        (lambda t: t.listed("", [], at(0)), Cause.vanished),
        (lambda t: t.listed("shop", [], at(0)), Cause.vanished),
        (lambda t: t.changed(replace(ALIVE, phase="Failed"), at(0)), Cause.failed),
        (lambda t: t.changed(replace(ALIVE, phase="Succeeded"), at(0)), Cause.succeeded),
        (lambda t: t.changed(replace(ALIVE, phase="Unknown"), at(0)), Cause.node_lost),
        (lambda t: t.listed("", [terminating(ALIVE)], at(0)), Cause.terminating),
    ],
)
def test_each_way_of_ending_is_due_once_with_its_cause(end: Callable[[Tracker], None], cause: Cause) -> None:
    tracker = Tracker()
    tracker.listed("", [ALIVE], at(-10))
    assert causes(tracker) == []
    end(tracker)
    end(tracker)
    assert causes(tracker) == [cause]
    confirm(tracker, ALIVE.uid)
    end(tracker)
    assert causes(tracker) == []


def test_a_pod_is_there_until_its_object_is_gone() -> None:
    tracker = Tracker()
    assert not tracker.has(ALIVE.uid)
    tracker.changed(ALIVE, at(0))
    tracker.changed(terminating(ALIVE), at(1))
    assert tracker.has(ALIVE.uid)
    tracker.removed(terminating(ALIVE), at(2))
    assert not tracker.has(ALIVE.uid)


def test_a_pod_is_due_with_its_first_cause_and_moment_until_confirmed() -> None:
    tracker = Tracker()
    tracker.changed(terminating(ALIVE), at(0))
    tracker.changed(replace(terminating(ALIVE), phase="Failed"), at(5))
    tracker.removed(terminating(ALIVE), at(9))
    [due] = tracker.due()
    assert (due.cause, due.observed_at) == (Cause.terminating, at(0))
    confirm(tracker, ALIVE.uid)
    assert tracker.backlog == 0


def test_a_pod_that_never_had_an_address_is_never_due() -> None:
    tracker = Tracker()
    pod = a_pod(ip="")
    tracker.changed(pod, at(0))
    tracker.changed(terminating(pod), at(1))
    tracker.removed(pod, at(2))
    assert causes(tracker) == []


def test_an_address_that_comes_while_the_pod_terminates_makes_it_due() -> None:
    tracker = Tracker()
    pod = terminating(a_pod(ip=""))
    tracker.changed(pod, at(0))
    tracker.changed(replace(pod, ip="10.1.0.9"), at(3))
    [due] = tracker.due()
    assert due.pod.ip == "10.1.0.9"


def test_a_pods_address_is_remembered_when_its_last_states_lack_it() -> None:
    tracker = Tracker()
    tracker.changed(ALIVE, at(0))
    tracker.changed(replace(ALIVE, ip="", phase="Failed"), at(1))
    tracker.removed(replace(ALIVE, ip=""), at(2))
    [due] = tracker.due()
    assert due.pod.ip == ALIVE.ip


def test_a_pod_removed_without_its_address_is_drained_at_the_one_it_had() -> None:
    tracker = Tracker()
    tracker.changed(ALIVE, at(0))
    tracker.removed(replace(ALIVE, ip=""), at(1))
    [due] = tracker.due()
    assert due.pod.ip == ALIVE.ip


def test_a_list_of_one_namespace_says_nothing_about_another() -> None:
    tracker = Tracker()
    tracker.changed(ALIVE, at(0))
    tracker.listed("other", [], at(1))
    assert causes(tracker) == []


def test_a_pod_whose_lost_node_came_back_is_due_again_when_it_really_goes() -> None:
    tracker = Tracker()
    tracker.changed(replace(ALIVE, phase="Unknown"), at(0))
    confirm(tracker, ALIVE.uid)
    tracker.changed(ALIVE, at(60))
    assert causes(tracker) == []
    tracker.changed(terminating(ALIVE, asked_at=at(90)), at(90))
    assert causes(tracker) == [Cause.terminating]


def test_a_lost_node_that_is_back_before_the_confirm_withdraws_its_drain() -> None:
    tracker = Tracker()
    tracker.changed(replace(ALIVE, disruption="DeletionByTaintManager"), at(0))
    tracker.changed(ALIVE, at(1))
    assert causes(tracker) == []


def test_a_successor_of_the_same_name_is_drained_on_its_own_account() -> None:
    tracker = Tracker()
    tracker.removed(ALIVE, at(0))
    confirm(tracker, ALIVE.uid)
    tracker.changed(a_pod("uid-next"), at(5))
    tracker.removed(a_pod("uid-next"), at(10))
    assert [due.pod.uid for due in tracker.due()] == ["uid-next"]


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize("end", [terminating(ALIVE), replace(ALIVE, phase="Failed")], ids=["terminating", "failed"])
def test_a_drained_pod_is_not_due_again_when_an_older_state_is_repeated(end: Pod, confirmed: bool) -> None:
    # A deletion and a final phase cannot be taken back: a living state after one is an old one, told by a server that
    # lags or by a watch that was taken up at an earlier version.
    tracker = Tracker()
    drains = 0
    for pod in (ALIVE, end, ALIVE, end):
        tracker.changed(pod, at(0))
        if confirmed:
            drains += len(causes(tracker))
            confirm(tracker, ALIVE.uid)
    assert drains + len(causes(tracker)) == 1


def test_a_deleted_pod_in_a_lagging_list_is_not_due_again() -> None:
    tracker = Tracker()
    tracker.listed("", [ALIVE], at(0))
    tracker.removed(ALIVE, at(1))
    confirm(tracker, ALIVE.uid)
    tracker.listed("", [ALIVE], at(2))
    tracker.listed("", [], at(3))
    assert causes(tracker) == []


def test_a_pod_stuck_in_termination_is_not_drained_again_by_other_pods() -> None:
    tracker = Tracker()
    stuck = terminating(ALIVE)
    tracker.changed(stuck, at(0))
    confirm(tracker, stuck.uid)
    for number in range(MAX_REMEMBERED + 2):
        other = a_pod(f"other-{number}", name=f"other-{number}", ip="10.2.0.1")
        tracker.removed(other, at(1))
        confirm(tracker, other.uid)
    tracker.changed(stuck, at(2))
    assert causes(tracker) == []


def test_a_pod_that_completed_long_ago_is_not_drained_when_first_seen() -> None:
    tracker = Tracker()
    job = a_pod(phase="Succeeded", finished_at=at(-3600))
    tracker.listed("", [job], at(0))
    tracker.removed(job, at(1))
    assert causes(tracker) == []


def test_a_pod_that_was_seen_alive_is_drained_however_late_its_end_is_seen() -> None:
    # A watcher that was frozen for twenty minutes finds its pod failed in the next list.
    tracker = Tracker()
    tracker.listed("", [ALIVE], at(0))
    tracker.listed("", [replace(ALIVE, phase="Failed", finished_at=at(60))], at(1_200))
    assert causes(tracker) == [Cause.failed]


def test_a_living_pod_at_the_address_is_found_whatever_shares_the_name() -> None:
    # The same StatefulSet in forty namespaces: the pod that took over the address must be among those sent along.
    tracker = Tracker()
    for number in range(40):
        tracker.changed(a_pod(f"a-{number:02}", namespace=f"preview-{number}", ip=f"10.9.0.{number}"), at(0))
    tracker.changed(a_pod("z-successor", name="cart-1"), at(0))
    assert "z-successor" in {other.uid for other in tracker.sharing(terminating(ALIVE))}
