"""Which node is waited for, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from controller.eureka.stragglers import FROZEN_NODE_TIMEOUT, Stragglers
from tests.fakes.virtual_time import in_virtual_time

TIMEOUT = 3.0


@dataclass(eq=False)
class SlowNode:
    """A node that takes so long to answer or refuse; what takes longer than the timeout is not answered."""

    url: str
    takes: float
    refuses: bool = False
    is_frozen: bool = False
    ended: int = 0
    cancelled: list[float] = field(default_factory=list)

    def note_silence(self) -> None:
        self.is_frozen = True

    async def ask(self) -> str:
        begun = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(min(self.takes, TIMEOUT))
        except asyncio.CancelledError:
            self.cancelled.append(asyncio.get_running_loop().time() - begun)
            raise
        self.is_frozen = self.takes > TIMEOUT
        self.ended += 1
        return "no answer in time" if self.is_frozen else "refused" if self.refuses else "answered"


class Region:
    """Some nodes, asked as a region's are."""

    def __init__(self, *nodes: SlowNode, limit: int = 2) -> None:
        self.nodes: Sequence[SlowNode] = nodes
        self.stragglers = Stragglers(limit=limit)

    async def ask(self, timeout: float | None = None) -> tuple[float, list[str]]:
        """How long it took, and what was said."""
        begun = asyncio.get_running_loop().time()
        said = await self.stragglers.gather(
            self.nodes,
            lambda node: node.ask(),
            is_answer=lambda text: text == "answered",
            not_waited_for=lambda _: "late",
            timeout=timedelta(seconds=timeout) if timeout is not None else None,
        )
        return round(asyncio.get_running_loop().time() - begun, 2), said


@in_virtual_time
async def test_a_node_that_refuses_at_once_makes_no_other_late() -> None:
    region = Region(SlowNode("a", 0, refuses=True), SlowNode("b", 2.9))
    for _ in range(3):
        assert await region.ask() == (2.9, ["refused", "answered"])


@in_virtual_time
async def test_a_node_is_waited_for_within_the_timeout_however_slow_it_was_once() -> None:
    region = Region(SlowNode("a", 0), SlowNode("b", 2.9))
    for _ in range(3):
        assert await region.ask() == (2.9, ["answered", "answered"])


@in_virtual_time
async def test_a_frozen_node_costs_its_timeout_once_and_then_hardly_anything() -> None:
    region = Region(SlowNode("a", 0.1), SlowNode("b", 60))
    assert await region.ask() == (TIMEOUT, ["answered", "no answer in time"])
    for _ in range(5):
        assert await region.ask() == (0.1 + FROZEN_NODE_TIMEOUT, ["answered", "late"])


@in_virtual_time
async def test_a_frozen_node_that_answers_in_time_behind_our_back_is_waited_for() -> None:
    frozen = SlowNode("b", 60)
    region = Region(SlowNode("a", 0), frozen)
    await region.ask()
    frozen.takes = 1
    assert await region.ask() == (FROZEN_NODE_TIMEOUT, ["answered", "late"])
    await asyncio.sleep(1)
    assert await region.ask() == (1, ["answered", "answered"])


@in_virtual_time
async def test_when_every_node_is_frozen_each_has_its_whole_timeout() -> None:
    region = Region(SlowNode("a", 60), SlowNode("b", 60))
    for _ in range(2):
        assert await region.ask() == (TIMEOUT, ["no answer in time"] * 2)


@in_virtual_time
async def test_a_node_that_turns_out_to_be_frozen_is_not_waited_for_any_longer() -> None:
    frozen = SlowNode("b", 60)
    region = Region(SlowNode("a", 0), frozen)
    first = asyncio.create_task(region.ask())
    await asyncio.sleep(2.5)
    took, said = await region.ask()
    assert said == ["answered", "late"]
    assert took <= 0.5 + FROZEN_NODE_TIMEOUT
    await first


@in_virtual_time
async def test_so_many_requests_of_a_frozen_node_are_left_to_themselves() -> None:
    frozen = SlowNode("b", 60)
    region = Region(SlowNode("a", 0), frozen, limit=2)
    await region.ask()
    await asyncio.gather(*(region.ask() for _ in range(10)))
    assert len(frozen.cancelled) == 8
    await asyncio.sleep(TIMEOUT)
    assert (frozen.ended, len(frozen.cancelled)) == (3, 8)


@in_virtual_time
async def test_nothing_is_left_over_when_it_is_closed_or_cancelled() -> None:
    frozen = SlowNode("b", 60, is_frozen=True)
    region = Region(SlowNode("a", 0), frozen)
    await region.ask()
    asking = asyncio.create_task(region.ask())
    await asyncio.sleep(0.1)
    asking.cancel()
    await region.stragglers.close()
    await asyncio.wait([asking])
    assert len(frozen.cancelled) == 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_a_long_request_is_waited_for_as_long_as_the_first_one_took() -> None:
    assert await Region(SlowNode("a", 0.1), SlowNode("b", 1.4)).ask(timeout=1.5) == (1.4, ["answered"] * 2)
    assert await Region(SlowNode("a", 1.2), SlowNode("b", 2.3)).ask(timeout=0.3) == (2.3, ["answered"] * 2)
    silent = SlowNode("b", 2.9)
    assert (await Region(SlowNode("a", 0.1), silent).ask(timeout=1.0))[1] == ["answered", "late"]
    assert silent.is_frozen


@in_virtual_time
async def test_a_mistake_in_a_request_is_not_hidden() -> None:
    class Broken(SlowNode):
        async def ask(self) -> str:
            raise ZeroDivisionError

    other = SlowNode("a", 2)
    with pytest.raises(ZeroDivisionError):
        await Region(other, Broken("b", 0)).ask()
    await asyncio.sleep(0)
    assert other.cancelled
