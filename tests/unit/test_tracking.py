"""What the tracker owes to one pod, in short sequences. Any interleaving of them: test_tracking_machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.domain.causes import Cause
from controller.domain.gone import Gone
from controller.domain.pods import Pod
from controller.domain.tracking import MAX_REMEMBERED, MAX_SHARING, Due, Tracker
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


@pytest.mark.parametrize("again", [terminating(ALIVE), replace(terminating(ALIVE), ip="")])
def test_a_removal_that_is_told_once_more_is_no_later_end(again: Pod) -> None:
    tracker = Tracker()
    tracker.changed(terminating(ALIVE), at(0))
    tracker.removed(terminating(ALIVE), at(1))
    tracker.removed(again, at(60))
    [due] = tracker.due()
    assert due.gone == tracker.gone(ALIVE.uid) == Gone(at=at(1), proved=False)


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


def test_who_shares_an_address_is_sent_along_before_who_shares_a_name() -> None:
    # A Deployment whose template fixes the host name, in more replicas than are sent along.
    tracker = Tracker()
    for number in range(MAX_SHARING + 10):
        tracker.changed(a_pod(f"a-{number:03}", hostname="orders", ip=f"10.9.0.{number}"), at(0))
    second = a_pod("z-second", namespace="other", name="x", ip="fd00::9", ips=("fd00::9", "10.1.0.7"))
    tracker.changed(second, at(0))
    sharing = tracker.sharing(a_pod(hostname="orders", ip="fd00::7", ips=("fd00::7", "10.1.0.7")))
    assert sharing[0].uid == "z-second"
    assert sharing[0].ips == ("fd00::9", "10.1.0.7")
    assert len(sharing) == len({one.uid for one in sharing}) == MAX_SHARING


def test_every_address_is_kept_when_its_last_states_lack_them() -> None:
    tracker = Tracker()
    pod = a_pod(ip="fd00::7", ips=("fd00::7", "10.1.0.7"), host_ips=("10.0.0.1",), started=True)
    tracker.changed(pod, at(0))
    tracker.changed(terminating(replace(pod, ips=("fd00::7",))), at(1))
    tracker.removed(terminating(replace(pod, ip="", ips=(), host_ips=(), started=False)), at(2))
    [due] = tracker.due()
    assert (due.pod.addresses, due.pod.host_ips, due.pod.started) == (pod.addresses, pod.host_ips, True)


def test_a_living_pod_that_gets_another_address_loses_the_old_one() -> None:
    tracker = Tracker()
    tracker.changed(a_pod(ip="10.1.0.7", ips=("10.1.0.7", "fd00::7")), at(0))
    tracker.changed(a_pod(ip="10.1.0.8"), at(1))
    assert tracker.living_at("10.1.0.7", "fd00::7") == []


MIRROR = a_pod(mirror=True)


@pytest.mark.parametrize(
    "end",
    [
        lambda t: t.changed(terminating(MIRROR), at(0)),
        lambda t: t.removed(MIRROR, at(0)),
        lambda t: t.removed(terminating(MIRROR), at(0)),
        lambda t: t.listed("", [], at(0)),
    ],
    ids=["terminating", "deleted", "deleted with grace", "vanished"],
)
def test_a_static_pod_outlives_its_object(end: Callable[[Tracker], None]) -> None:
    tracker = Tracker()
    tracker.listed("", [MIRROR], at(-10))
    end(tracker)
    assert causes(tracker) == []


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda t: t.changed(replace(MIRROR, phase="Failed"), at(0)), Cause.failed),
        (lambda t: t.changed(replace(MIRROR, phase="Unknown"), at(0)), Cause.node_lost),
        (lambda t: t.node_changed("node-a", at(0), shutting_down=True), Cause.node_shutdown),
        (lambda t: t.removed(replace(MIRROR, ended_at=at(-1)), at(0)), Cause.deleted),
    ],
)
def test_a_static_pod_is_drained_when_its_containers_end(end: Callable[[Tracker], None], cause: Cause) -> None:
    tracker = Tracker()
    tracker.listed("", [MIRROR], at(-10))
    end(tracker)
    assert causes(tracker) == [cause]


def test_a_node_that_shuts_down_takes_its_pods_along_until_it_is_back() -> None:
    tracker = Tracker()
    there, elsewhere = a_pod("uid-1"), a_pod("uid-2", name="orders-1", node="node-b")
    for pod in (there, elsewhere):
        tracker.changed(pod, at(0))
    assert tracker.node_changed("node-a", at(1), shutting_down=True) == [there]
    assert tracker.node_changed("node-a", at(2), shutting_down=True) == []
    [due] = tracker.due()
    assert due == Due(pod=there, cause=Cause.node_shutdown, observed_at=at(1))
    assert tracker.alive_at("uid-1") is None
    assert list(tracker.living()) == [elsewhere]
    confirm(tracker, "uid-1")
    tracker.changed(there, at(3))
    assert causes(tracker) == []
    assert tracker.node_changed("node-a", at(60), shutting_down=False) == [there]
    assert tracker.alive_at("uid-1") == at(60)
    tracker.changed(terminating(there), at(90))
    assert causes(tracker) == [Cause.terminating]


def test_a_pod_that_comes_to_a_node_that_shuts_down_is_due() -> None:
    tracker = Tracker()
    tracker.node_changed("node-a", at(0), shutting_down=True)
    tracker.changed(a_pod(), at(1))
    assert causes(tracker) == [Cause.node_shutdown]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_lost_nodes_pod_is_due_once_more_with_its_real_deadline(confirmed: bool) -> None:
    # The taint manager sets the condition first, and asks for the deletion a moment later.
    tracker = Tracker()
    lost = replace(ALIVE, disruption="DeletionByTaintManager")
    tracker.changed(lost, at(0))
    if confirmed:
        confirm(tracker, ALIVE.uid)
    going = terminating(lost, asked_at=at(1), grace=300)
    for pod in (going, lost, going):
        tracker.changed(pod, at(2))
    [due] = tracker.due()
    assert (due.cause, due.observed_at, due.pod.deletion_at) == (Cause.terminating, at(2), at(301))
    confirm(tracker, ALIVE.uid)
    tracker.removed(going, at(300))
    assert causes(tracker) == []


def test_a_confirm_of_the_lost_node_says_nothing_of_the_deletion() -> None:
    tracker = Tracker()
    tracker.changed(replace(ALIVE, phase="Unknown"), at(0))
    [lost] = tracker.due()
    tracker.changed(terminating(ALIVE), at(1))
    assert tracker.newest(lost) is None
    tracker.confirmed(lost)
    assert causes(tracker) == [Cause.terminating]


def test_a_drain_that_is_still_to_be_sent_has_the_newest_facts() -> None:
    tracker = Tracker()
    tracker.changed(terminating(ALIVE), at(0))
    [due] = tracker.due()
    tracker.removed(terminating(ALIVE), at(20))
    newest = tracker.newest(due)
    assert newest is not None
    assert (newest.observed_at, newest.gone) == (at(0), Gone(at=at(20), proved=False))


def test_an_evicted_pod_without_an_address_is_due_if_it_has_run() -> None:
    evicted = a_pod(ip="", phase="Failed", finished_at=at(-1))
    for started, expected in ((True, [Cause.failed]), (False, [])):
        tracker = Tracker()
        tracker.listed("", [replace(evicted, started=started)], at(0))
        assert causes(tracker) == expected


GONE: list[tuple[Callable[[Tracker], object], Gone | None]] = [
    (lambda t: t.changed(terminating(ALIVE), at(0)), None),
    (lambda t: t.changed(replace(terminating(ALIVE), ended_at=at(-9)), at(0)), Gone(at=at(-8), proved=True)),
    (lambda t: t.changed(replace(terminating(ALIVE), ended_at=at(0)), at(0.4)), Gone(at=at(0.4), proved=True)),
    (lambda t: t.changed(replace(ALIVE, phase="Failed", ended_at=at(-9)), at(0)), Gone(at=at(-8), proved=True)),
    (lambda t: t.changed(replace(ALIVE, phase="Failed", finished_at=at(-9)), at(0)), Gone(at=at(0), proved=False)),
    (lambda t: t.changed(replace(ALIVE, phase="Failed", started=True), at(0)), None),
    (lambda t: t.changed(replace(ALIVE, phase="Failed", disruption="DeletionByPodGC"), at(0)), None),
    (lambda t: t.changed(replace(ALIVE, phase="Unknown"), at(0)), None),
    (lambda t: t.node_changed("node-a", at(0), shutting_down=True), None),
    (lambda t: t.removed(ALIVE, at(0)), Gone(at=at(0), proved=False)),
    (lambda t: t.removed(replace(ALIVE, ended_at=at(-9)), at(0)), Gone(at=at(-8), proved=True)),
    (lambda t: t.removed(ALIVE, at(0), seen_until=at(-240)), Gone(at=at(-240), proved=False)),
    (
        lambda t: t.removed(terminating(ALIVE, asked_at=at(-100)), at(0), seen_until=at(-240)),
        Gone(at=at(-100), proved=False),
    ),
    (lambda t: t.removed(a_pod(created_at=at(-60)), at(0), seen_until=at(-240)), Gone(at=at(-60), proved=False)),
    (
        lambda t: t.removed(replace(ALIVE, ended_at=at(-200)), at(0), seen_until=at(-240)),
        Gone(at=at(-199), proved=True),
    ),
    (lambda t: t.listed("", [], at(0)), Gone(at=at(-300), proved=False)),
    (lambda t: t.listed("", [], at(0), seen_until=at(-60)), Gone(at=at(-60), proved=False)),
]


@pytest.mark.parametrize(("end", "gone"), GONE)
def test_a_pod_is_over_when_it_ended_and_not_when_that_was_learned(
    end: Callable[[Tracker], object], gone: Gone | None
) -> None:
    tracker = Tracker()
    tracker.changed(ALIVE, at(-300))
    end(tracker)
    [due] = tracker.due()
    assert due.gone == gone


def test_a_pod_that_lost_its_label_is_missing_from_the_list_and_lives() -> None:
    tracker = Tracker()
    tracker.changed(ALIVE, at(0))
    assert tracker.listed("", [], at(1), unselected=frozenset({ALIVE.uid})) == []
    tracker.removed(ALIVE, at(2))
    assert causes(tracker) == [Cause.deleted]
