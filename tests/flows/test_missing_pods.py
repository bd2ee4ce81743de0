"""Drained pods that the API server does not have, and whose end no log has."""

from __future__ import annotations

import asyncio

from controller.domain.causes import Cause
from controller.domain.events import Outcome, make_event
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.test_gone_recorder import gone
from tests.flows.watching import Watching, watching
from tests.unit.building import a_command, a_pod, a_target, at


async def hold(stage: Watching, name: str, cause: Cause = Cause.terminating, **facts: str) -> None:
    """The log says that a drain holds an instance of this pod."""
    command = a_command(a_pod(f"uid-{name}", name=name, **facts), cause=cause, drain_id=name)
    await stage.broker.record(make_event(command, Outcome.out_of_service, at(3), target=a_target()))


@in_virtual_time
async def test_a_drained_pod_that_is_not_there_may_be_over_since_it_began_to_go() -> None:
    async with watching() as stage:
        await hold(stage, "orders-0")
        await asyncio.sleep(4 * 60)
        assert gone(stage) == []
        await asyncio.sleep(30 * 60)
        assert gone(stage) == [("uid-orders-0", a_command().since_at, False)], "once, for the log has it"
        assert stage.feed.questions == ["shop/orders-0"]


@in_virtual_time
async def test_the_end_is_noted_once_while_the_log_takes_nothing() -> None:
    async with watching() as stage:
        await hold(stage, "orders-0")
        stage.broker.readers.clear()
        await asyncio.sleep(30 * 60)
        assert len(gone(stage)) == 1


@in_virtual_time
async def test_one_that_is_there_unwatched_elsewhere_or_not_deleted_is_left() -> None:
    async with watching("shop") as stage:
        stage.feed.lists(a_pod("uid-listed", name="listed"))
        stage.feed.there.add("uid-unlabelled")
        await hold(stage, "listed")
        await hold(stage, "unlabelled")
        await hold(stage, "elsewhere", namespace="other")
        for cause in set(Cause) - {Cause.terminating, Cause.deleted}:
            await hold(stage, cause.value, cause)
        await asyncio.sleep(20 * 60)
        assert gone(stage) == []
        assert set(stage.feed.questions) == {"shop/unlabelled"}
