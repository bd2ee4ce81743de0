"""The watch: each pod once, with its cause, to the regions that it belongs to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.domain.causes import Cause
from controller.domain.events import Outcome
from controller.domain.nodes import SHUTTING_DOWN, ClusterNode
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.watching import GOING, watching
from tests.unit.building import NOON, POD_IP, a_pod, a_target, terminating


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


@in_virtual_time
async def test_a_node_that_shuts_down_takes_its_pods_out_before_they_fail() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(), a_pod("uid-2", name="orders-1", node="node-b"))
        stage.nodes.says(ClusterNode(name="node-a", ready="False", reason="KubeletNotReady", message=SHUTTING_DOWN))
        await asyncio.sleep(1)
        stage.nodes.says(ClusterNode(name="node-a", ready="Unknown", message="Kubelet stopped posting node status."))
        await asyncio.sleep(1)
        stage.feed.changes(a_pod(phase="Failed", ended_at=virtual_clock()))
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.node_shutdown), ("orders-0", "eu", Cause.failed)]
        first, second = stage.broker.sent
        assert (first.gone_at, second.end_proved) == (None, True)
        assert len({event.event_id for event in stage.broker.events}) == 1, "one drain for those who look"


@pytest.mark.parametrize("message", ["", "container runtime is down", f"[container runtime is down, {SHUTTING_DOWN}]"])
@in_virtual_time
async def test_a_node_that_is_not_ready_for_another_reason_takes_nobody_along(message: str) -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.nodes.says(ClusterNode(name="node-a", ready="False", reason="KubeletNotReady", message=message))
        await asyncio.sleep(1)
        assert bool(stage.sent) == (SHUTTING_DOWN in message)


@in_virtual_time
async def test_a_pod_whose_node_is_back_is_restored_and_drained_when_it_goes() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.nodes.says(ClusterNode(name="node-a", ready="False", message=SHUTTING_DOWN))
        await asyncio.sleep(1)
        command = stage.broker.sent[0]
        await stage.broker.record(stage.an_event(Outcome.out_of_service, command=command, target=a_target()))
        stage.nodes.says(ClusterNode(name="node-a", ready="True"))
        await asyncio.sleep(1)
        [restore] = stage.broker.restores
        assert (restore.pod.uid, restore.held[0].cause) == ("uid-1", Cause.node_shutdown)
        stage.feed.changes(GOING)
        await asyncio.sleep(1)
        assert stage.sent[1:] == [("orders-0", "eu", Cause.terminating)]


@in_virtual_time
async def test_a_tainted_nodes_pod_is_sent_once_more_with_its_deadline() -> None:
    async with watching() as stage:
        lost = a_pod(disruption="DeletionByTaintManager")
        stage.feed.changes(lost)
        await asyncio.sleep(1)
        stage.feed.changes(terminating(lost, asked_at=virtual_clock(), grace=300))
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.node_lost), ("orders-0", "eu", Cause.terminating)]
        first, second = stage.broker.sent
        assert first.drain_id == second.drain_id
        assert second.end_at - second.since_at == timedelta(seconds=300)


@in_virtual_time
async def test_a_static_pods_object_that_is_deleted_drains_nothing() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(mirror=True))
        stage.feed.changes(terminating(a_pod(mirror=True)))
        stage.feed.removes(terminating(a_pod(mirror=True)))
        stage.feed.lists(a_pod("uid-2", mirror=True))
        await asyncio.sleep(60)
        assert (stage.sent, stage.broker.ends) == ([], [])


@in_virtual_time
async def test_a_pod_without_the_label_is_drained_when_it_dies() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        stage.feed.loses_its_label(a_pod())
        await asyncio.sleep(60)
        assert stage.sent == []
        stage.feed.removes_unselected(a_pod())
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.deleted)]


@in_virtual_time
async def test_a_removal_that_is_told_after_a_gap_happened_at_any_moment_of_it() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(), a_pod("uid-2", name="orders-1", ip="10.1.0.9"))
        await asyncio.sleep(10)
        stage.feed.stays_silent()
        await asyncio.sleep(180)
        stage.feed.removes(a_pod())
        await asyncio.sleep(10)
        stage.feed.removes(a_pod("uid-2", name="orders-1", ip="10.1.0.9"))
        await asyncio.sleep(1)
        assert [round((one.gone_at - NOON).total_seconds()) for one in stage.broker.sent if one.gone_at] == [10, 200]


@in_virtual_time
async def test_a_pod_that_vanished_was_there_while_the_watch_answered() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        await asyncio.sleep(10)
        stage.feed.stays_silent()
        await asyncio.sleep(240)
        stage.feed.lists()
        await asyncio.sleep(1)
        [command] = stage.broker.sent
        assert command.gone_at is not None
        assert round((command.gone_at - NOON).total_seconds()) == 10
