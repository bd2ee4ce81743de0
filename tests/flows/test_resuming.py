"""Pods that were removed while nothing watched."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from controller.domain.causes import Cause
from controller.domain.events import Outcome, PodGoneEvent
from controller.domain.watch_position import Position
from controller.flows.ports import Removed
from tests.fakes.outbox import Refusal
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.watching import watching
from tests.stack.waiting import until
from tests.unit.building import a_pod, a_target, at, terminating

LEFT = Position(cluster="test", at=at(0), versions={"": "7"})


@in_virtual_time
async def test_a_pod_that_was_removed_since_the_last_position_is_drained() -> None:
    async with watching() as stage:
        stage.feed.removed = (Removed(pod=a_pod()),)
        stage.parts.positions.apply(LEFT)
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.deleted)]


@in_virtual_time
async def test_without_a_position_or_with_another_clusters_nobody_is_asked() -> None:
    async with watching() as stage:
        stage.feed.removed = (Removed(pod=a_pod()),)
        stage.parts.positions.apply(Position(cluster="other", at=virtual_clock(), versions={"": "7"}))
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.sent == []


@in_virtual_time
async def test_what_a_worker_has_taken_up_already_is_not_sent_again() -> None:
    async with watching() as stage:
        stage.feed.removed = (Removed(pod=a_pod()),)
        stage.ledger.apply(stage.an_event(Outcome.out_of_service, target=a_target()))
        stage.parts.positions.apply(LEFT)
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.sent == []


@in_virtual_time
async def test_the_position_moves_on_only_while_nothing_waits_for_the_broker() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        await asyncio.sleep(5)
        [first] = stage.broker.positions
        stage.broker.refusal = Refusal.lost
        stage.feed.changes(terminating(a_pod()))
        await asyncio.sleep(60)
        assert stage.broker.positions == [first]
        stage.broker.refusal = None
        await asyncio.sleep(30)
        assert len(stage.broker.positions) == 2
        assert stage.broker.positions[-1].versions != first.versions


@in_virtual_time
async def test_the_position_does_not_pass_an_end_that_is_not_written() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        await asyncio.sleep(5)
        stage.feed.changes(terminating(a_pod()))
        await asyncio.sleep(5)
        before = stage.broker.positions[-1]
        stage.broker.log_refusal = Refusal.lost
        stage.feed.removes(terminating(a_pod()))
        await asyncio.sleep(20)
        assert stage.broker.positions[-1] == before
        stage.broker.log_refusal = None
        await asyncio.sleep(30)
        assert [entry for entry in stage.broker.entries if isinstance(entry, PodGoneEvent)]
        assert stage.broker.positions[-1].versions != before.versions


@in_virtual_time
async def test_a_position_bears_the_time_of_its_versions() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        await asyncio.sleep(5)
        before = stage.broker.positions[-1]
        stage.broker.log_refusal = Refusal.lost
        stage.feed.changes(terminating(a_pod()))
        moved_at = virtual_clock()
        await until(lambda: stage.broker.positions[-1] != before, "a position", timeout=60)
        assert stage.broker.positions[-1].at - moved_at < timedelta(seconds=2)


@in_virtual_time
async def test_a_log_that_is_away_for_long_does_not_keep_the_position_back() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.broker.log_refusal = Refusal.lost
        stage.feed.removes(terminating(a_pod()))
        await asyncio.sleep(60)
        assert stage.broker.positions[-1].versions == {"": stage.feed.version}


@in_virtual_time
async def test_a_pod_that_went_unwatched_was_there_until_the_position() -> None:
    async with watching() as stage:
        await asyncio.sleep(240)
        stage.feed.removed = (Removed(pod=a_pod()), Removed(pod=a_pod("uid-2", name="orders-1", created_at=at(60))))
        stage.parts.positions.apply(LEFT)
        stage.feed.lists()
        await asyncio.sleep(1)
        assert {command.pod.uid: command.gone_at for command in stage.broker.sent} == {"uid-1": at(0), "uid-2": at(60)}
