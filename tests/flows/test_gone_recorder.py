"""When a drained pod does not run any more: written into the log for every worker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from controller.domain.events import PodGoneEvent
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.watching import Watching, watching
from tests.unit.building import POD_IP, a_pod, at, terminating

GOING = terminating(a_pod())


def gone(stage: Watching) -> list[tuple[str, datetime, bool]]:
    """Return whose end is in the log, when it was, and whether it was proved."""
    entries = [entry for entry in stage.broker.entries if isinstance(entry, PodGoneEvent)]
    return [(entry.uid, entry.gone_at, entry.proved) for entry in entries]


@in_virtual_time
async def test_a_pod_is_over_once_its_node_has_reported_all_its_containers_ended() -> None:
    async with watching() as stage:
        stage.feed.lists(GOING)
        await asyncio.sleep(5)
        assert gone(stage) == []
        stage.feed.changes(replace(GOING, ended_at=at(4)))
        stage.feed.removes(GOING)
        await asyncio.sleep(1)
        assert gone(stage) == [("uid-1", at(5), True)]


@in_virtual_time
async def test_a_pod_that_is_removed_by_force_is_over_without_proof() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        await asyncio.sleep(5)
        stage.feed.removes(a_pod())
        await asyncio.sleep(1)
        assert [(uid, proved) for uid, _, proved in gone(stage)] == [("uid-1", False)]


@in_virtual_time
async def test_a_pod_whose_address_a_living_one_has_by_now_is_over() -> None:
    async with watching() as stage:
        stage.feed.lists(GOING)
        await asyncio.sleep(5)
        stage.feed.changes(a_pod("uid-2", name="orders-9", ip=POD_IP, created_at=at(3)))
        await asyncio.sleep(1)
        assert gone(stage) == [("uid-1", at(3), False)]
        stage.feed.changes(replace(GOING, ended_at=at(2)))
        await asyncio.sleep(1)
        assert gone(stage)[1:] == [("uid-1", at(3), True)], "and once more when it is proved"


@in_virtual_time
async def test_a_living_pod_and_one_that_is_to_be_left_alone_have_no_end() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(), terminating(a_pod("uid-3", ip="10.1.0.9", annotations={"enabled": "false"})))
        stage.feed.removes(terminating(a_pod("uid-3", ip="10.1.0.9", annotations={"enabled": "false"})))
        await asyncio.sleep(5)
        assert gone(stage) == []


@in_virtual_time
async def test_what_a_lost_log_held_is_written_into_the_next_unless_it_is_old() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(), a_pod("uid-2", name="orders-1", ip="10.1.0.8"))
        stage.feed.removes(a_pod())
        await asyncio.sleep(3600)
        stage.feed.removes(a_pod("uid-2", name="orders-1", ip="10.1.0.8"))
        await asyncio.sleep(5)
        stage.parts.gone.log_replaced()
        await asyncio.sleep(5)
        assert [uid for uid, _, _ in gone(stage)] == ["uid-1", "uid-2", "uid-2"]
