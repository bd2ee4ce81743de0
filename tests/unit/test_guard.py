"""The guard's limits for what a person or the sweep requests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.domain.events import Outcome, make_event
from controller.domain.guard_policy import GuardPolicy, RecentTakeOuts
from controller.domain.silence import heartbeats_again, may_heartbeat, renewals
from tests.unit.building import NODES, a_command, a_target, an_instance, at, readings


@pytest.mark.parametrize(
    ("size", "percent", "most"), [(1, 25, 1), (3, 25, 1), (8, 25, 2), (100, 25, 25), (10, 100, 10)]
)
def test_a_quarter_a_minute_and_one_at_least(size: int, percent: int, most: int) -> None:
    assert GuardPolicy(max_percent_per_minute=percent).max_per_minute(size) == most


def test_a_minute_is_counted_over_all_workers_each_instance_once() -> None:
    lately = RecentTakeOuts()
    lately.add(("eu", "ORDERS"), "a", at(0))
    lately.add(("eu", "ORDERS"), "a", at(1))
    event = make_event(a_command(requested_by="sweep"), Outcome.out_of_service, at(2), app="ORDERS", instance_id="b")
    lately.apply(event)
    lately.apply(make_event(a_command(), Outcome.out_of_service, at(2), app="ORDERS", instance_id="died"))
    lately.add(("us", "ORDERS"), "c", at(2))
    assert lately.count(("eu", "ORDERS"), at(3), but="x") == 2
    assert lately.count(("eu", "ORDERS"), at(3), but="a") == 1
    assert lately.count(("eu", "ORDERS"), at(61), but="x") == 1


def test_a_renewal_time_in_the_past_is_silence_and_one_ahead_is_not() -> None:
    now = readings(an_instance(renewed_at=at(80)))
    assert may_heartbeat(a_target(), now, at(60))
    assert may_heartbeat(a_target(), now, at(80 + 64))
    assert not may_heartbeat(a_target(), now, at(80 + 66))


def test_two_equal_looks_further_apart_than_a_heartbeat_are_silence() -> None:
    now = readings(an_instance(renewed_at=at(80)))
    looked = a_target(silent_since=at(0), renewals=renewals(now))
    assert may_heartbeat(looked, now, at(34))
    assert not may_heartbeat(looked, now, at(35))
    assert not heartbeats_again(looked, now)
    later = readings(an_instance(renewed_at=at(110)))
    assert may_heartbeat(looked, later, at(36))
    assert heartbeats_again(looked, later)
    assert not heartbeats_again(a_target(), later), "nothing was proved before"


def test_a_client_that_renews_seldom_has_its_time() -> None:
    slow = an_instance(renewed_at=at(0), renewal_interval=timedelta(minutes=5))
    assert may_heartbeat(a_target(), readings(slow), at(300))
    assert renewals(readings(slow)) == {NODES[0]: at(0)}
