"""The ends of drained pods are published: once, for every cause, and never in a drain's way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from loguru import logger

from controller.domain.commands import drain_id
from controller.domain.pods import Pod
from controller.domain.routing import Routing
from controller.domain.shutdown.pod_details import ContainerEnd, Hook, PodDetails, Sleep
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.watch_position import Position
from controller.errors import BrokerError
from controller.flows import end_publisher
from controller.flows.end_publisher import MAX_DRAIN_IDS, MAX_WHY_LENGTH, EndPublisher
from controller.flows.ports import Removed
from controller.flows.priority import PriorityGate
from tests.fakes.outbox import FakeBroker, Refusal
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.watching import Watching, watching
from tests.unit.building import a_pod, at, terminating
from tests.unit.windows import pod_details, shell

EU, US = drain_id("test", "uid-1", "eu"), drain_id("test", "uid-1", "us")


def alive(hook: Hook = None, **facts: Any) -> PodDetails:
    """A pod of the Deployment ``shop/orders``."""
    return pod_details(hook, grace=30, facts=facts)


def going(details: PodDetails, *, grace: int = 30, asked: float = 0) -> PodDetails:
    """Its deletion has been asked for."""
    return replace(details, pod=terminating(details.pod, asked_at=at(asked), grace=grace))


def ended(details: PodDetails, seconds: float, **facts: Any) -> PodDetails:
    """Its container has ended."""
    end = ContainerEnd(name="main", finished_at=at(seconds), exit_code=143)
    return replace(details, ends=(end,), pod=replace(details.pod, **facts))


def by_its_node(details: PodDetails) -> PodDetails:
    """As it is when its node deletes it at last: without a grace period, from when it was asked for."""
    pod = details.pod
    assert pod.deletion_at is not None
    asked_at = pod.deletion_at - timedelta(seconds=pod.grace_seconds)
    return replace(details, pod=replace(pod, deletion_at=asked_at, grace_seconds=0))


def changes(stage: Watching, details: PodDetails) -> None:
    stage.feed.changes(details.pod, details)


def removes(stage: Watching, details: PodDetails) -> None:
    stage.feed.removes(details.pod, details)


def short(end: PodEnd) -> tuple[float | None, EndCause]:
    return (None if end.ended_at is None else (end.ended_at - at(0)).total_seconds()), end.end_cause


@in_virtual_time
async def test_a_pods_end_is_published_once_with_its_workload_and_all_its_drains() -> None:
    async with watching(default=("eu", "us")) as stage:
        details = alive(Sleep(5))
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        await asyncio.sleep(6)
        assert stage.broker.ends == [], "it serves"
        gone = ended(going(details), 6)
        changes(stage, gone)
        await asyncio.sleep(1)
        changes(stage, gone)
        removes(stage, by_its_node(gone))
        await asyncio.sleep(1)
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.broker.ends == [
            PodEnd(
                cluster="test",
                drain_ids=(EU, US),
                namespace="shop",
                pod=details.pod.name,
                uid="uid-1",
                kind="Deployment",
                workload="orders",
                template="7cd9c4fbcc",
                at=at(6),
                ended_at=at(6),
                end_cause=EndCause.hook,
                why="its sleep hook waits 5 s",
            )
        ]
        assert set(stage.broker.ends[0].drain_ids) == {command.drain_id for command in stage.broker.sent}


@in_virtual_time
async def test_a_pod_without_an_owner_is_its_own_workload() -> None:
    async with watching() as stage:
        pod = a_pod()
        stage.feed.lists(pod)
        stage.feed.removes(pod)
        await asyncio.sleep(1)
        [end] = stage.broker.ends
        assert (end.kind, end.workload) == ("Pod", "orders-0")


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
@in_virtual_time
async def test_an_end_without_a_deletion_is_published_and_its_removal_is_not(phase: str) -> None:
    async with watching() as stage:
        details = alive(Sleep(5))
        stage.feed.lists(details.pod)
        over = ended(details, -2, phase=phase, finished_at=at(-2))
        changes(stage, over)
        await asyncio.sleep(60)
        removes(stage, by_its_node(going(over, asked=60)))
        await asyncio.sleep(1)
        assert [short(end) for end in stage.broker.ends] == [(-2, EndCause.by_itself)]


@in_virtual_time
async def test_an_end_in_a_list_is_published_unless_it_is_long_ago() -> None:
    async with watching() as stage:
        facts = {"phase": "Failed"}
        stage.feed.lists(
            a_pod("uid-1", finished_at=at(-60), **facts), a_pod("uid-2", finished_at=at(-16 * 60), **facts)
        )
        await asyncio.sleep(1)
        assert [(end.uid, *short(end)) for end in stage.broker.ends] == [("uid-1", -60, EndCause.by_itself)]


@in_virtual_time
async def test_a_terminating_pod_in_a_list_ends_when_its_containers_have() -> None:
    async with watching() as stage:
        gone = ended(going(alive()), 1, phase="Failed", finished_at=at(1))
        stage.feed.lists(gone.pod)
        await asyncio.sleep(1)
        assert stage.broker.ends == []
        removes(stage, by_its_node(gone))
        await asyncio.sleep(1)
        assert [short(end) for end in stage.broker.ends] == [(1, EndCause.no_hook)]


@in_virtual_time
async def test_a_vanished_pod_has_ended_unwatched() -> None:
    async with watching() as stage:
        details = alive(Sleep(20))
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        await asyncio.sleep(1)
        stage.feed.lists()
        await asyncio.sleep(1)
        [end] = stage.broker.ends
        assert (short(end), end.why) == ((None, EndCause.unknown), "no watch saw it end")
        assert (end.kind, end.workload) == ("Deployment", "orders")


@in_virtual_time
async def test_a_vanished_pod_that_was_seen_to_be_over_had_ended_then() -> None:
    async with watching() as stage:
        over = ended(going(alive()), 1, phase="Failed", finished_at=at(1))
        stage.feed.lists(over.pod)
        stage.feed.lists()
        await asyncio.sleep(1)
        assert [end.ended_at for end in stage.broker.ends] == [at(1)]


@in_virtual_time
async def test_a_pod_that_was_removed_unwatched_ended_as_its_last_state_shows() -> None:
    async with watching() as stage:
        last = by_its_node(ended(going(alive(Sleep(5)), asked=-60), -54))
        stage.feed.removed = (Removed(pod=last.pod, details=last),)
        stage.parts.positions.apply(Position(cluster="test", at=at(-90), versions={"": "7"}))
        stage.feed.lists()
        await asyncio.sleep(1)
        assert [(*short(end), end.why) for end in stage.broker.ends] == [
            (-54, EndCause.hook, "its sleep hook waits 5 s")
        ]


@in_virtual_time
async def test_the_deletion_by_its_node_when_all_is_over_is_not_by_force() -> None:
    async with watching() as stage:
        details = alive()
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        await asyncio.sleep(2)
        removes(stage, by_its_node(going(details)))  # no end of a container was reported
        await asyncio.sleep(1)
        assert [short(end) for end in stage.broker.ends] == [(2, EndCause.no_hook)]


@in_virtual_time
async def test_a_pod_that_was_deleted_by_force_ended_when_it_was_removed() -> None:
    async with watching() as stage:
        details = alive(Sleep(20))
        stage.feed.lists(details.pod)
        await asyncio.sleep(3)
        removes(stage, going(details, grace=0, asked=3))
        await asyncio.sleep(1)
        [end] = stage.broker.ends
        assert (short(end), end.why) == ((3, EndCause.killed), "it was deleted by force, without a grace period")


@in_virtual_time
async def test_a_grace_period_that_is_shortened_later_on_is_the_one_that_counts() -> None:
    async with watching() as stage:
        details = alive(Sleep(20))
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        await asyncio.sleep(4)
        hurried = going(details, grace=5)
        changes(stage, hurried)
        await asyncio.sleep(4)
        removes(stage, by_its_node(hurried))
        await asyncio.sleep(1)
        [end] = stage.broker.ends
        assert end.why == "it was deleted with a grace period of 5 s instead of its 30 s"


@in_virtual_time
async def test_the_end_of_a_pod_that_loses_its_address_is_published() -> None:
    async with watching() as stage:
        details = alive(Sleep(5))
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        for seconds in (5, 6):
            without = going(details)
            without = replace(without, pod=replace(without.pod, ip=""))
            changes(stage, without if seconds == 5 else ended(without, 6))
        await asyncio.sleep(1)
        assert [short(end) for end in stage.broker.ends] == [(6, EndCause.hook)]


@pytest.mark.parametrize(
    "facts",
    [
        {"annotations": {"enabled": "false"}},
        {"annotations": {"enabled": "perhaps"}},
        {"annotations": {"region": "no/region"}},
        {"ip": ""},
    ],
    ids=["switched off", "refused", "no region", "no address"],
)
@in_virtual_time
async def test_the_end_of_a_pod_that_is_not_drained_is_not_published(facts: dict[str, Any]) -> None:
    async with watching() as stage:
        details = alive(**facts)
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        changes(stage, ended(going(details), 1))
        removes(stage, ended(going(details), 1))
        await asyncio.sleep(5)
        assert stage.broker.sent == []
        assert stage.broker.ends == []


@in_virtual_time
async def test_a_pod_on_a_lost_node_has_not_ended_until_it_is_deleted() -> None:
    async with watching() as stage:
        details = alive()
        stage.feed.lists(details.pod)
        changes(stage, ended(details, -5, phase="Unknown"))
        await asyncio.sleep(5)
        assert stage.broker.ends == []
        removes(stage, replace(details, pod=replace(details.pod, phase="Unknown")))
        await asyncio.sleep(1)
        assert [short(end) for end in stage.broker.ends] == [(5, EndCause.killed)]


def pods(count: int) -> list[Pod]:
    return [a_pod(f"uid-{number}", name=f"orders-{number}", ip=f"10.1.{number // 250}.{number % 250}")
            for number in range(count)]  # fmt: skip


@in_virtual_time
async def test_ends_wait_for_the_broker_and_are_published_in_order() -> None:
    async with watching() as stage:
        many = pods(20)
        stage.feed.lists(*many)
        await asyncio.sleep(1)
        stage.broker.refusal = Refusal.lost
        for pod in many:
            stage.feed.removes(pod)
        await asyncio.sleep(120)
        assert stage.broker.ends == []
        stage.broker.refusal = None
        await asyncio.sleep(60)
        assert [end.uid for end in stage.broker.ends] == [pod.uid for pod in many]
        assert {end.ended_at for end in stage.broker.ends} == {at(1)}, "when it was, not when it could be published"


@in_virtual_time
async def test_an_end_that_waits_keeps_no_position_from_being_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(_: PodEnd) -> None:
        raise BrokerError("nothing listens")

    async with watching() as stage:
        details = alive()
        stage.feed.lists(details.pod)
        changes(stage, going(details))
        await asyncio.sleep(5)
        noted = list(stage.broker.positions)
        with monkeypatch.context() as patched:
            patched.setattr(stage.broker, "publish_end", refuses)
            changes(stage, ended(going(details), 5))
            stage.feed.stays_silent()
            await asyncio.sleep(60)
            assert len(stage.broker.positions) > len(noted)
            assert stage.broker.positions[-1].versions == {"": stage.feed.version}
        await asyncio.sleep(20)
        assert len(stage.broker.ends) == 1


class Publishing:
    """Ends alone, with a broker that takes them, or not."""

    def __init__(self, **routing: Any) -> None:
        self.broker, self.priority = FakeBroker(), PriorityGate()
        usual = {"cluster": "test", "known": ("eu",), "default": ("eu",), "namespaces": {}}
        self.ends = EndPublisher(
            routing=Routing(**{**usual, **routing}), outbox=self.broker, priority=self.priority, clock=virtual_clock
        )

    async def apply(self, seconds: float) -> None:
        """Let it publish for so long."""
        running = asyncio.create_task(self.ends.run())
        await asyncio.sleep(seconds)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@in_virtual_time
async def test_too_many_ends_cost_the_oldest_ones_and_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_publisher, "MAX_WAITING", 10)
    stage = Publishing()
    many = pods(25)
    for pod in many:
        stage.ends.removed(pod, PodDetails(pod=pod))
    assert stage.ends.waiting == 10
    await stage.apply(60)
    assert [end.uid for end in stage.broker.ends] == [pod.uid for pod in many[15:]]
    assert stage.ends.waiting == 0


@in_virtual_time
async def test_an_end_that_is_dropped_while_it_is_refused_delays_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(end_publisher, "MAX_WAITING", 2)
    stage = Publishing()
    stage.broker.refusal = Refusal.lost
    running = asyncio.create_task(stage.ends.run())
    for pod in pods(5):
        stage.ends.removed(pod, PodDetails(pod=pod))
        await asyncio.sleep(20)
    stage.broker.refusal = None
    await asyncio.sleep(60)
    running.cancel()
    assert [end.uid for end in stage.broker.ends] == ["uid-3", "uid-4"]


@in_virtual_time
async def test_an_end_waits_until_no_command_does() -> None:
    stage = Publishing()
    stage.ends.removed(a_pod(), PodDetails(pod=a_pod()))
    with stage.priority.urgent():
        running = asyncio.create_task(stage.ends.run())
        await asyncio.sleep(0.05)
        assert stage.broker.ends == []
    await asyncio.sleep(1)
    running.cancel()
    assert len(stage.broker.ends) == 1
    assert elapsed() < 2


@in_virtual_time
async def test_an_end_that_cannot_be_published_costs_itself_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="ERROR")
    stage = Publishing()
    publish_end = stage.broker.publish_end

    async def breaks(end: PodEnd) -> None:
        if end.uid == "uid-0":
            raise RuntimeError("{oops}")
        await publish_end(end)

    monkeypatch.setattr(stage.broker, "publish_end", breaks)
    for pod in pods(2):
        stage.ends.removed(pod, PodDetails(pod=pod))
    await stage.apply(60)
    logger.remove(sink)
    assert [end.uid for end in stage.broker.ends] == ["uid-1"]
    assert lines == ["a pod's end cannot be published"]


@in_virtual_time
async def test_a_hook_without_end_and_regions_without_number_fit_the_wire() -> None:
    stage = Publishing(known=tuple(f"r{number}" for number in range(300)))
    details = going(alive(shell(f"curl http://x/{'é' * 3_000}"), annotations={"region": "*"}))
    stage.ends.changed(details.pod, ended(details, 1))
    await stage.apply(5)
    [end] = stage.broker.ends
    assert len(end.drain_ids) == MAX_DRAIN_IDS
    assert len(end.why) <= MAX_WHY_LENGTH
