"""The watch: each pod once, with its cause, to the regions that it belongs to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.causes import Cause
from controller.domain.events import Outcome
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.watching import GOING, watching
from tests.unit.building import POD_IP, a_pod, terminating


@in_virtual_time
async def test_a_terminating_pod_is_sent_once_however_often_it_is_seen() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.feed.changes(GOING)
        stage.feed.changes(GOING)
        await asyncio.sleep(1)
        stage.feed.changes(replace(GOING, phase="Succeeded"))
        stage.feed.removes(GOING)
        await asyncio.sleep(1)
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.terminating)]
        assert stage.broker.outcomes == [Outcome.requested]
        assert stage.observer.published_causes == {Cause.terminating: 1}


@pytest.mark.parametrize(
    ("cause", "pod"),
    [
        (Cause.failed, a_pod(phase="Failed")),
        (Cause.succeeded, a_pod(phase="Succeeded")),
        (Cause.node_lost, a_pod(phase="Unknown")),
        (Cause.node_lost, a_pod(disruption="DeletionByTaintManager")),
    ],
)
@in_virtual_time
async def test_a_pod_that_ends_without_a_deletion_is_sent_with_its_cause(cause: Cause, pod: Any) -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.feed.changes(pod)
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", cause)]


@in_virtual_time
async def test_what_terminates_already_when_the_watch_starts_is_sent_first() -> None:
    async with watching() as stage:
        assert not stage.parts.watch.ready
        stage.feed.lists(a_pod("other", name="orders-9", ip="10.1.0.9"), GOING)
        await asyncio.sleep(0.1)
        assert stage.parts.watch.ready
        assert stage.sent == [("orders-0", "eu", Cause.terminating)]


@in_virtual_time
async def test_a_pod_that_is_missing_from_a_later_list_has_vanished() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.feed.stays_silent()
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.vanished)]


@in_virtual_time
async def test_a_list_counts_for_its_namespace_and_ready_means_all_are_listed() -> None:
    async with watching("shop", "bank") as stage:
        shop, bank = stage.feeds
        shop.lists(a_pod())
        await asyncio.sleep(1)
        assert not stage.parts.watch.ready
        bank.lists(a_pod("uid-b", namespace="bank", name="ledger-0", ip="10.1.0.20"))
        bank.lists()
        await asyncio.sleep(1)
        assert stage.parts.watch.ready
        assert stage.sent == [("ledger-0", "eu", Cause.vanished)]


@in_virtual_time
async def test_a_removed_pod_is_sent_with_the_address_that_it_had() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.feed.removes(a_pod(ip=""))
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.deleted)]
        assert stage.broker.sent[0].pod.ip == POD_IP


@in_virtual_time
async def test_a_pod_that_never_had_an_address_is_nobodys_business() -> None:
    async with watching() as stage:
        stage.feed.lists(terminating(a_pod(ip="")))
        await asyncio.sleep(60)
        assert stage.sent == []
        assert stage.broker.events == []


@in_virtual_time
async def test_a_node_that_comes_back_and_is_lost_again_makes_its_pods_due_again() -> None:
    async with watching() as stage:
        for phase in ("Unknown", "Running", "Unknown"):
            stage.feed.changes(a_pod(phase=phase))
            await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.node_lost)] * 2


@in_virtual_time
async def test_a_command_whose_address_came_late_carries_the_newest_facts() -> None:
    async with watching() as stage:
        stage.feed.changes(terminating(a_pod(ip="")))
        await asyncio.sleep(1)
        stage.feed.changes(GOING)
        await asyncio.sleep(1)
        assert [command.pod.ip for command in stage.broker.sent] == [POD_IP]


@in_virtual_time
async def test_living_pods_at_the_same_address_travel_with_the_command() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(), a_pod("uid-2", name="orders-1"), a_pod("uid-3", name="elsewhere", ip="10.1.0.50"))
        stage.feed.changes(GOING)
        await asyncio.sleep(1)
        assert [living.uid for living in stage.broker.sent[0].living] == ["uid-2"]


@in_virtual_time
async def test_a_refusal_is_an_event_without_a_command_and_the_next_pod_is_sent() -> None:
    async with watching() as stage:
        bad = terminating(a_pod("uid-bad", name="bad", ip="10.6.6.6", annotations={"region": "../{etc}"}))
        stage.feed.lists(bad, GOING)
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.terminating)]
        refused = [event for event in stage.broker.events if event.outcome is Outcome.refused]
        assert [event.pod for event in refused] == ["bad"]
        assert "eureka.drain/region" in str(refused[0].reason)
        assert stage.observer.tracked_now == (2, 0)


@pytest.mark.parametrize(
    ("annotations", "namespaces", "regions"),
    [
        ({}, {}, ["eu"]),
        ({"region": "*"}, {}, ["eu", "us"]),
        ({"region": "us, eu"}, {}, ["us", "eu"]),
        ({"region": "us,*"}, {}, ["us", "eu"]),
        ({"region": "mars"}, {}, ["mars"]),
        ({}, {"shop": ("us",)}, ["us"]),
        ({}, {"shop": ("*",)}, ["eu", "us"]),
        ({"region": "eu"}, {"shop": ("us",)}, ["eu"]),
        ({"enabled": "false"}, {}, []),
    ],
)
@in_virtual_time
async def test_a_pods_regions_come_from_its_annotation_namespace_or_default(
    annotations: dict[str, str], namespaces: dict[str, tuple[str, ...]], regions: list[str]
) -> None:
    async with watching(namespaces=namespaces) as stage:
        stage.feed.lists(terminating(a_pod(annotations=annotations)))
        await asyncio.sleep(1)
        assert [region for _, region, _ in stage.sent] == regions
        assert len({command.drain_id for command in stage.broker.sent}) == len(regions)


@in_virtual_time
async def test_two_replicas_of_the_watch_give_the_same_drain_the_same_id() -> None:
    async with watching() as first, watching() as second:
        first.feed.changes(GOING)
        await asyncio.sleep(3)
        second.feed.changes(GOING)
        await asyncio.sleep(1)
        assert [command.drain_id for command in first.broker.sent] == [
            command.drain_id for command in second.broker.sent
        ]
