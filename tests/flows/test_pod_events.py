"""Kubernetes Events about drains: recorded as far as possible, and never in a drain's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from loguru import logger

from controller.domain.drain_index import DrainIndex
from controller.domain.events import Event, Outcome, make_event
from controller.domain.kubernetes_events import MAX_MESSAGE_BYTES
from controller.domain.shutdown.pod_details import ContainerEnd
from controller.domain.shutdown.pod_end import PodEnd
from controller.flows.pod_events import FORBIDDEN_RETRY_INTERVAL, MAX_ATTEMPTS, MAX_OWNERS, MAX_WAITING, PodEvents
from controller.flows.ports import RecordForbidden, Unrecordable
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from tests.fakes.event_recorder import NOT_NOW, FakeEventRecorder
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.watching import GOING, watching
from tests.unit.building import STATEFUL_SET, a_command, a_pod, a_target, at, terminating
from tests.unit.shutdowns import an_end, begun, out
from tests.unit.windows import pod_details

OWNED = terminating(a_pod(owner=STATEFUL_SET))


class RecordingStage:
    """A flow that runs, its recorder, and which pods are there."""

    def __init__(self, *scopes: str) -> None:
        self.recorder = FakeEventRecorder()
        self.there = {GOING.uid}
        self.pod_events = PodEvents(
            cluster="test",
            scopes=scopes or ("",),
            event_recorder=self.recorder,
            is_there=lambda uid: uid in self.there,
            clock=virtual_clock,
        )
        self._verdicts = ShutdownVerdicts(DrainIndex())
        self._verdicts.readers.append(self.pod_events.apply_shutdown)

    def apply(self, outcome: Outcome = Outcome.out_of_service, *, number: int = 0, **facts: Any) -> Event:
        """Record this about the pod's instance, now."""
        event = make_event(a_command(), outcome, virtual_clock(), target=a_target(id=f"id-{number}"))
        event = replace(event, **facts)
        self.take(event)
        return event

    def take(self, event: Event) -> None:
        """Read an entry of the log."""
        self.pod_events.apply(event)
        self._verdicts.apply(event)

    def take_end(self, end: PodEnd) -> None:
        """Read the end of a pod."""
        self._verdicts.apply_end(end)


@asynccontextmanager
async def pod_events(*scopes: str) -> AsyncIterator[RecordingStage]:
    stage = RecordingStage(*scopes)
    running = asyncio.create_task(stage.pod_events.run())
    try:
        yield stage
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextmanager
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning, or worse."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    try:
        yield lines
    finally:
        logger.remove(sink)


@in_virtual_time
async def test_a_drain_is_recorded_at_its_pod_soon_and_once() -> None:
    async with pod_events() as stage:
        event = stage.apply()
        stage.take(event)
        await asyncio.sleep(2)
        [notice] = stage.recorder.there.values()
        assert (notice.reason, notice.pod, notice.uid, notice.owner) == ("Drained", "orders-0", GOING.uid, None)


@in_virtual_time
async def test_events_from_minutes_before_the_start_are_recorded_older_are_not() -> None:
    async with pod_events() as stage:
        stage.apply(Outcome.refused, at=at(-301))
        stage.apply(Outcome.failed, at=at(-299))
        await asyncio.sleep(5)
        assert stage.recorder.reasons == ["DrainFailed"]


@in_virtual_time
async def test_other_clusters_drains_and_other_namespaces_are_not_recorded() -> None:
    async with pod_events("shop", "bank") as stage:
        stage.apply(cluster="other")
        stage.apply(namespace="platform", number=1)
        stage.apply(namespace="bank", number=2)
        await asyncio.sleep(5)
        assert [notice.namespace for notice in stage.recorder.there.values()] == ["bank"]


@in_virtual_time
async def test_a_gone_pods_owner_gets_the_event_even_if_the_request_comes_last() -> None:
    async with pod_events() as stage:
        stage.there.clear()
        stage.apply()
        stage.take(make_event(a_command(OWNED), Outcome.requested, virtual_clock()))
        await asyncio.sleep(2)
        [notice] = stage.recorder.there.values()
        assert notice.owner == STATEFUL_SET
        assert notice.message.startswith("Pod orders-0: Out of service")


@in_virtual_time
async def test_an_old_request_event_names_the_owner_for_events_of_a_gone_pod() -> None:
    async with pod_events() as stage:
        stage.take(make_event(a_command(OWNED), Outcome.requested, at(-3600)))
        stage.apply()
        await asyncio.sleep(2)
        stage.there.clear()
        stage.apply(Outcome.failed)
        await asyncio.sleep(2)
        assert [notice.owner for notice in stage.recorder.there.values()] == [None, STATEFUL_SET]


@in_virtual_time
async def test_a_pod_that_is_gone_and_has_no_owner_gets_the_event_itself() -> None:
    async with pod_events() as stage:
        stage.there.clear()
        stage.apply()
        await asyncio.sleep(2)
        assert [notice.owner for notice in stage.recorder.there.values()] == [None]


@in_virtual_time
async def test_owners_are_remembered_up_to_a_bound() -> None:
    async with pod_events() as stage:
        stage.there.clear()
        for number in range(MAX_OWNERS + 1):
            pod = replace(OWNED, uid=f"uid-{number}")
            stage.take(make_event(a_command(pod, drain_id=f"d-{number}"), Outcome.requested, virtual_clock()))
        stage.apply(uid="uid-0", number=0)
        stage.apply(uid="uid-1", number=1)
        await asyncio.sleep(2)
        assert [notice.owner for notice in stage.recorder.there.values()] == [None, STATEFUL_SET]


@in_virtual_time
async def test_a_burst_is_recorded_at_a_measured_pace() -> None:
    async with pod_events() as stage:
        for number in range(1_000):
            stage.apply(number=number)
        await asyncio.sleep(120)
        assert len(stage.recorder.there) == 1_000
        first, last = stage.recorder.tries[0][0], stage.recorder.tries[-1][0]
        assert 45 <= last - first <= 60


@in_virtual_time
async def test_an_api_server_that_is_away_is_asked_more_and_more_seldom() -> None:
    with warnings() as lines:
        async with pod_events() as stage:
            stage.recorder.broken = NOT_NOW
            for number in range(3):
                stage.apply(number=number)
            await asyncio.sleep(60)
            assert len(stage.recorder.tries) <= 8
            stage.recorder.broken = None
            await asyncio.sleep(60)
            assert len(stage.recorder.there) == 3
    assert lines == ["Kubernetes does not take an Event"]


@in_virtual_time
async def test_an_event_that_is_never_taken_does_not_hold_up_the_others() -> None:
    async with pod_events() as stage:
        stage.recorder.broken = NOT_NOW
        stage.apply(Outcome.failed)
        await asyncio.sleep(1)
        stage.apply()
        await asyncio.sleep(200)
        first = stage.recorder.tries[0][1].name
        assert [event.name for _, event in stage.recorder.tries].count(first) == MAX_ATTEMPTS
        stage.recorder.broken = None
        await asyncio.sleep(60)
        assert stage.recorder.reasons == ["Drained"]
        assert elapsed() < 600


@in_virtual_time
async def test_a_mistake_of_ours_costs_one_event() -> None:
    with warnings() as lines:
        async with pod_events() as stage:
            stage.recorder.broken = RuntimeError("{oops}")
            stage.apply(Outcome.failed)
            await asyncio.sleep(2)
            stage.recorder.broken = None
            stage.apply()
            await asyncio.sleep(2)
            assert stage.recorder.reasons == ["Drained"]
    assert lines == ["this Event cannot be recorded"]


@in_virtual_time
async def test_too_many_are_dropped_the_oldest_first_with_one_line() -> None:
    with warnings() as lines:
        stage = RecordingStage()
        for number in range(MAX_WAITING + 500):
            stage.apply(number=number)
        running = asyncio.create_task(stage.pod_events.run())
        await asyncio.sleep(300)
        running.cancel()
        assert len(stage.recorder.there) == MAX_WAITING
        assert "id-500)" in next(iter(stage.recorder.there.values())).message
    assert lines == ["too many Kubernetes Events wait; the oldest are dropped"]


@in_virtual_time
async def test_where_events_are_forbidden_the_fix_is_logged_once() -> None:
    with warnings() as lines:
        async with pod_events() as stage:
            stage.recorder.refusals = {"shop": RecordForbidden(why="{no}"), "bank": RecordForbidden(why="no")}
            for number in range(20):
                stage.apply(number=number)
                stage.apply(number=number + 100, namespace="bank")
                stage.apply(number=number + 200, namespace="open")
                await asyncio.sleep(10)
            assert [notice.namespace for _, notice in stage.recorder.tries].count("shop") == 1
            assert [notice.namespace for _, notice in stage.recorder.tries].count("bank") == 1
            assert len(stage.recorder.there) == 20
            [line] = lines
            assert "create on events" in line
            assert "watch.kubernetes_events" in line
            stage.recorder.refusals = {}
            await asyncio.sleep(FORBIDDEN_RETRY_INTERVAL.total_seconds())
            stage.apply(number=999)
            await asyncio.sleep(5)
            assert any("id-999)" in notice.message for notice in stage.recorder.there.values())
            stage.recorder.refusals = {"shop": RecordForbidden(why="no")}
            stage.apply(number=1_000)
            await asyncio.sleep(5)
            assert len(lines) == 2, "it was mended, and is broken anew"


@in_virtual_time
async def test_what_has_become_pointless_is_dropped_quietly() -> None:
    with warnings() as lines:
        async with pod_events() as stage:
            stage.recorder.refusals = {"shop": Unrecordable(why="the namespace is gone")}
            stage.apply()
            await asyncio.sleep(5)
            stage.recorder.refusals = {}
            stage.apply(Outcome.failed)
            await asyncio.sleep(5)
            assert stage.recorder.reasons == ["DrainFailed"]
    assert lines == []


@in_virtual_time
async def test_a_watch_records_nothing_before_it_knows_which_pods_are_there() -> None:
    async with watching() as stage:
        await stage.broker.record(make_event(a_command(OWNED), Outcome.requested, virtual_clock()))
        await stage.broker.record(stage.an_event(Outcome.out_of_service, target=a_target()))
        await asyncio.sleep(30)
        assert stage.event_recorder.tries == []
        stage.feed.lists(OWNED)
        await asyncio.sleep(5)
        [notice] = stage.event_recorder.there.values()
        assert notice.owner is None
        stage.feed.removes(OWNED)
        await stage.broker.record(stage.an_event(Outcome.failed))
        await asyncio.sleep(5)
        assert list(stage.event_recorder.there.values())[-1].owner == STATEFUL_SET


@in_virtual_time
async def test_a_noticeboard_that_fails_does_not_hold_up_the_watch() -> None:
    async with watching() as stage:
        stage.event_recorder.broken = NOT_NOW
        stage.feed.lists(a_pod())
        await stage.broker.record(stage.an_event(Outcome.failed))
        await asyncio.sleep(10)
        stage.feed.changes(GOING)
        begun = elapsed()
        await stage.broker.recorded(Outcome.requested)
        assert elapsed() - begun < 1
        assert [name for name, _, _ in stage.sent] == ["orders-0"]


SHORT = (
    "Not graceful, 95 s short: it has no preStop hook. It ended at 12:00:01Z; "
    "callers in Eureka region eu may have used it until 12:01:35Z"
)


@in_virtual_time
async def test_a_verdict_becomes_one_event_whichever_replica_saw_the_end_first() -> None:
    async with pod_events() as stage:
        stage.take(begun())
        stage.take(out())
        stage.take_end(an_end(1))
        stage.take_end(an_end(1, at=at(3)))
        await asyncio.sleep(5)
        assert stage.recorder.reasons == ["Drained", "NotGraceful"]
        notice = list(stage.recorder.there.values())[-1]
        assert (notice.message, notice.warning, notice.uid, notice.owner) == (SHORT, True, GOING.uid, None)


@in_virtual_time
async def test_replicas_that_read_in_another_order_give_a_shutdown_one_name() -> None:
    async with pod_events() as one, pod_events() as other:
        other.recorder.there = one.recorder.there
        for entry in (begun(), out()):
            one.take(entry)
        one.take_end(an_end(1))
        other.take_end(an_end(1))
        for entry in (begun(), out()):
            other.take(entry)
        await asyncio.sleep(5)
        assert one.recorder.reasons == ["Drained", "NotGraceful"]


@in_virtual_time
async def test_once_the_pod_is_gone_its_owner_gets_the_shutdown_verdict() -> None:
    async with pod_events() as stage:
        stage.there.clear()
        stage.take(begun(0, a_command(OWNED)))
        stage.take_end(an_end(100))
        stage.take(out())
        await asyncio.sleep(5)
        notice = list(stage.recorder.there.values())[-1]
        assert (notice.reason, notice.warning, notice.owner) == ("Graceful", False, STATEFUL_SET)
        assert notice.message.startswith("Pod orders-0: Graceful. It ended at 12:01:40Z")


@in_virtual_time
async def test_an_end_that_one_replica_missed_is_recorded_once_another_saw_it() -> None:
    async with pod_events() as stage:
        stage.take(begun())
        stage.take(out())
        stage.take_end(an_end(None))
        await asyncio.sleep(5)
        assert stage.recorder.reasons == ["Drained"]
        stage.take_end(an_end(1))
        await asyncio.sleep(5)
        assert stage.recorder.reasons == ["Drained", "NotGraceful"]


@in_virtual_time
async def test_old_shutdowns_and_those_of_other_clusters_make_no_event() -> None:
    async with pod_events("shop") as stage:
        for entry in (begun(-700), out(-699)):
            stage.take(entry)
        stage.take_end(an_end(-600, at=at(-599)))
        for number, facts in enumerate(({"cluster": "other"}, {"namespace": "bank"})):
            command = a_command(drain_id=f"d{number}")
            event = out(0.5, command)
            event = replace(
                event, cluster=facts.get("cluster", event.cluster), namespace=facts.get("namespace", "shop")
            )
            stage.take(event)
            stage.take_end(an_end(1, drain_ids=(command.drain_id,), **facts))
        await asyncio.sleep(5)
        assert stage.recorder.reasons == []


@in_virtual_time
async def test_a_pod_that_was_never_registered_gets_no_event() -> None:
    async with pod_events() as stage:
        stage.take(begun())
        stage.take(make_event(a_command(), Outcome.not_registered, virtual_clock()))
        stage.take_end(an_end(1))
        await asyncio.sleep(5)
        assert stage.recorder.there == {}


@in_virtual_time
async def test_a_hook_with_much_output_is_recorded_in_one_bounded_line() -> None:
    async with pod_events() as stage:
        stage.take(out())
        stage.take_end(an_end(1, why="\x1b[2J\nits exec hook " + "é" * 2_000))
        await asyncio.sleep(5)
        message = list(stage.recorder.there.values())[-1].message
        assert message.isprintable()
        assert message.startswith("Not graceful, 95 s short: ?[2J?its exec hook")
        assert len(message.encode()) <= MAX_MESSAGE_BYTES


@in_virtual_time
async def test_a_watch_records_a_shutdown_verdict_as_soon_as_it_sees_the_end() -> None:
    async with watching() as stage:
        stay = pod_details()
        going = replace(stay, pod=terminating(stay.pod))
        stage.feed.lists(stay.pod)
        stage.feed.changes(going.pod, going)
        await stage.broker.recorded(Outcome.requested)
        command = stage.broker.sent[0]
        await stage.broker.record(out(0.5, command))
        ended = replace(going, ends=(ContainerEnd(name="main", finished_at=at(1)),))
        stage.feed.changes(ended.pod, ended)
        await asyncio.sleep(5)
        assert stage.event_recorder.reasons == ["Drained", "NotGraceful"]
        assert list(stage.event_recorder.there.values())[-1].message == SHORT


@in_virtual_time
async def test_a_link_to_the_page_is_added_where_it_is_known() -> None:
    async with pod_events("") as stage:
        stage.pod_events.page_url = "https://drain.example.com"
        event = stage.apply()
        await asyncio.sleep(3)
        [notice] = stage.recorder.there.values()
        assert notice.message.endswith(f" https://drain.example.com/drains/{event.drain_id}")
