"""Drained pods that the API server does not have, and whose end no log has."""

from __future__ import annotations

import asyncio

from controller.domain.causes import Cause
from controller.domain.events import Outcome, make_event
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.test_gone_recorder import gone
from tests.flows.watching import watching
from tests.unit.building import a_command, a_pod, a_target, at


@in_virtual_time
async def test_a_drained_pod_that_is_not_there_is_over_by_its_deadline() -> None:
    async with watching("shop") as stage:
        stage.feed.lists(a_pod("uid-2", name="orders-1", ip="10.1.0.8"))
        held, asked = a_command(), a_command(cause=Cause.asked, drain_id="asked", pod=a_pod("uid-3"))
        elsewhere = a_command(drain_id="elsewhere", pod=a_pod("uid-4", namespace="other"))
        there = a_command(drain_id="there", pod=a_pod("uid-2", name="orders-1", ip="10.1.0.8"))
        for command in (held, asked, elsewhere, there):
            await stage.broker.record(make_event(command, Outcome.out_of_service, at(3), target=a_target()))
        await asyncio.sleep(4 * 60)
        assert gone(stage) == []
        await asyncio.sleep(2 * 60)
        assert gone(stage) == [], "the API server says nothing: who knows what is there"
        for _ in range(14):
            stage.feed.stays_silent()
            await asyncio.sleep(10)
        assert gone(stage) == [("uid-1", held.end_at, False)]
