"""A broker that is away: everything is sent once it is back, and the watch never waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from controller.domain.causes import Cause
from controller.domain.events import Outcome, make_event
from controller.flows import dispatcher
from tests.fakes.outbox import Refusal
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.watching import GOING, watching
from tests.unit.building import a_pod, terminating


@in_virtual_time
async def test_the_watch_sends_again_until_the_broker_confirms() -> None:
    async with watching() as stage:
        stage.broker.refusal = Refusal.lost
        stage.feed.lists(GOING)
        await asyncio.sleep(120)
        assert stage.sent == []
        assert stage.observer.tracked_now == (1, 1)
        stage.broker.refusal = None
        back_at = elapsed()
        while not stage.broker.events:  # noqa: ASYNC110 - the moment matters
            await asyncio.sleep(0.1)
        assert elapsed() - back_at <= stage.broker.timeout + 5.2
        await asyncio.sleep(10)
        assert stage.sent == [("orders-0", "eu", Cause.terminating)]
        assert stage.observer.tracked_now == (1, 0)


@in_virtual_time
async def test_what_no_worker_answers_is_resent_ever_less_often_until_one_does() -> None:
    async with watching() as stage:
        stage.feed.lists(GOING)
        await asyncio.sleep(3600)
        assert 12 <= len(stage.sent) <= 20
        assert len({command.drain_id for command in stage.broker.sent}) == 1
        await stage.broker.record(make_event(stage.broker.sent[0], Outcome.out_of_service, virtual_clock()))
        so_far = len(stage.sent)
        await asyncio.sleep(3600)
        assert len(stage.sent) == so_far


@in_virtual_time
async def test_confirms_that_come_too_late_repeat_the_command_with_its_id() -> None:
    async with watching() as stage:
        stage.broker.refusal = Refusal.arrives_anyway
        stage.feed.lists(GOING)
        await asyncio.sleep(30)
        stage.broker.refusal = None
        await asyncio.sleep(30)
        assert len(stage.broker.sent) > 1
        assert len({command.drain_id for command in stage.broker.sent}) == 1
        assert len({event.event_id for event in stage.broker.events}) == 1


@in_virtual_time
async def test_a_large_backlog_is_sent_later_and_never_holds_the_feed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "MAX_UNDER_WAY", 1_000)
    count = 1_500
    async with watching() as stage:
        stage.broker.refusal = Refusal.lost
        pods = [terminating(a_pod(f"uid-{n}", name=f"p-{n}", ip=f"10.2.{n // 250}.{n % 250}")) for n in range(count)]
        stage.feed.lists(*pods[:-1])
        await asyncio.sleep(1)
        stage.feed.changes(pods[-1])
        await asyncio.sleep(1)
        assert stage.observer.tracked_now == (count, count)
        await asyncio.sleep(60)
        stage.broker.refusal = None
        await asyncio.sleep(12)
        assert len({name for name, _, _ in stage.sent}) == count
        assert stage.observer.tracked_now == (count, 0)


@in_virtual_time
async def test_a_pod_that_lives_again_before_the_broker_is_back_is_not_drained() -> None:
    async with watching() as stage:
        stage.broker.refusal = Refusal.lost
        stage.feed.lists(a_pod(phase="Unknown"))
        await asyncio.sleep(30)
        stage.feed.changes(a_pod())
        await asyncio.sleep(10)
        stage.broker.refusal = None
        await asyncio.sleep(30)
        assert stage.sent == []


@in_virtual_time
async def test_a_refusal_waits_for_the_broker_too() -> None:
    async with watching() as stage:
        stage.broker.refusal = Refusal.lost
        stage.feed.lists(terminating(a_pod(annotations={"enabled": "maybe"})))
        await asyncio.sleep(60)
        stage.broker.refusal = None
        await asyncio.sleep(12)
        assert stage.broker.outcomes == [Outcome.refused]


@in_virtual_time
async def test_what_is_learned_while_the_broker_is_away_is_in_the_command() -> None:
    async with watching() as stage:
        stage.broker.refusal = Refusal.lost
        stage.feed.lists(GOING)
        await asyncio.sleep(30)
        stage.feed.changes(a_pod("uid-new", name="orders-1"))
        await asyncio.sleep(10)
        stage.broker.refusal = None
        await asyncio.sleep(12)
        assert [living.uid for living in stage.broker.sent[-1].living] == ["uid-new"]


@in_virtual_time
async def test_at_shutdown_what_is_under_way_has_bounded_time_for_its_confirm() -> None:
    async with watching() as stage:
        stage.broker.refusal = Refusal.lost
        stage.feed.lists(terminating(a_pod()))
        await asyncio.sleep(1)
        begun = elapsed()
        await stage.parts.finish(timedelta(seconds=7))
        assert elapsed() - begun == pytest.approx(7)
        stage.broker.refusal = None
        await stage.parts.finish(timedelta(seconds=60))
        assert len(stage.sent) == 1
