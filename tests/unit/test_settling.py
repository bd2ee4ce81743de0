"""Dead letters that are settled within a request's time: what was not handled is said to be left."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from controller.domain.dead_messages import DeadMessage
from controller.domain.replay_plan import Requester
from controller.domain.selection import Selection
from controller.flows.publisher import Publisher
from controller.flows.requeue import settle_each
from tests.fakes.outbox import FakeBroker
from tests.unit.building import a_command, at

REQUESTER = Requester(by="nina", at=at(0), why="INC-1")


class Queue:
    """Three dead letters: two of ours, and one that is not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting = [
            DeadMessage(number=1, region="eu", reason="", item=a_command(drain_id="one")),
            DeadMessage(number=2, region="eu", reason="", message_id="odd"),
            DeadMessage(number=3, region="eu", reason="", item=a_command(drain_id="three")),
        ]
        self.unseen = 0
        self.settled: list[int] = []

    async def hold(self, limit: int = 500) -> list[DeadMessage]:
        held, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return held

    async def settle(self, number: int) -> None:
        self._clock.seconds += 10
        self.settled.append(number)


class Clock:
    """Goes on with each that is settled."""

    seconds = 0

    def __call__(self) -> datetime:
        return at(self.seconds)


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(("seconds", "left"), [(5, {"eu": 1, "us": 1}), (100, {})])
async def test_what_there_is_no_time_for_is_said_to_be_left(drops: bool, seconds: int, left: dict[str, int]) -> None:
    clock = Clock()
    queues = {"eu": Queue(clock), "us": Queue(clock)}
    done = await settle_each(
        queues,
        Selection(),
        REQUESTER,
        drops=drops,
        publisher=Publisher(outbox=FakeBroker(), clock=clock),
        clock=clock,
        within=timedelta(seconds=seconds),
    )
    assert done.unseen == left
    all_of_one = [1, 2, 3] if drops else [1, 3]
    assert [queue.settled for queue in queues.values()] == ([all_of_one[:1], []] if left else [all_of_one, all_of_one])
    assert done.settled == (1 if left else 2 * len(all_of_one))
    assert [one.message_id for one in done.foreign] == ([] if drops or left else ["odd", "odd"])
