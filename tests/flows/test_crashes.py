"""A process may die just before or just after any of its side effects, and the drain still ends the same."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import pytest

from controller.domain.events import Outcome
from controller.messages.codec import COMMAND_TYPE, encode_item
from tests.fakes.node_trouble import Trouble
from tests.fakes.outbox import Delivery
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.world import World, sleep_until
from tests.unit.building import a_command

FINAL = {Outcome.removed, Outcome.already_gone}


@dataclass
class Ending:
    """How a run ended, and which points it passed."""

    points: list[str]
    statuses: list[str | None]
    overrides: int
    outcomes: list[Outcome]
    event_ids: set[str]
    dead: int
    restarts: int


@functools.cache
def play(crash_at: int | None, *, node_away: bool, kept: bool) -> Ending:
    """A rollout's one instance, whose second node may be away for a while. ``kept``: its message, while it waits."""
    endings: list[Ending] = []

    @in_virtual_time
    async def record() -> None:
        async with World(crash_at=crash_at, keeps_waiting=kept) as world:
            app = await world.process()
            if node_away:
                world.nodes[1].trouble = Trouble.down
            await world.send()
            await sleep_until(20)
            app.die()
            await sleep_until(40)
            world.nodes[1].trouble = None
            await world.until_idle()
            endings.append(
                Ending(
                    points=world.crashes.reached,
                    statuses=world.everywhere(),
                    overrides=sum(len(node.overrides) for node in world.nodes),
                    outcomes=world.broker.outcomes,
                    event_ids={event.event_id for event in world.broker.events},
                    dead=len(world.broker.dead),
                    restarts=world.consumer.restarts,
                )
            )

    record()
    return endings[0]


def reference(*, node_away: bool, kept: bool) -> Ending:
    """The same run without a crash."""
    return play(None, node_away=node_away, kept=kept)


def plans() -> list[tuple[bool, bool, int, str]]:
    return [
        (node_away, kept, number, point)
        for node_away, kept in product((False, True), repeat=2)
        for number, point in enumerate(reference(node_away=node_away, kept=kept).points)
        if not point.endswith("send")  # that is the watch's
    ]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("node_away", [False, True])
def test_the_reference_runs_have_a_point_around_every_kind_of_side_effect(node_away: bool, kept: bool) -> None:
    ending = reference(node_away=node_away, kept=kept)
    kinds = {point.split(" at ")[0] for point in ending.points}
    for effect in (
        "take_out",
        "remove",
        "record out_of_service",
        "record removed",
        "wait" if kept else "postpone",
        "proceed",
        "ack",
    ):
        assert {f"before {effect}", f"after {effect}"} <= kinds
    assert ending.statuses == [None, None]
    assert ending.restarts == 0
    assert len(plans()) >= 120


@pytest.mark.parametrize(("node_away", "kept", "number", "point"), plans())
def test_a_crash_anywhere_and_a_redelivery_end_in_the_same_state(
    node_away: bool, kept: bool, number: int, point: str
) -> None:
    expected = reference(node_away=node_away, kept=kept)
    ending = play(number, node_away=node_away, kept=kept)
    assert ending.points[number] == point
    assert ending.restarts == 1
    assert (ending.statuses, ending.overrides, ending.dead) == (expected.statuses, expected.overrides, expected.dead)
    assert Outcome.out_of_service in ending.outcomes
    assert set(ending.outcomes) & FINAL


def test_a_crash_at_any_point_leaves_exactly_one_final_outcome_in_the_log() -> None:
    wrong = {}
    for node_away, kept, number, point in plans():
        ending = play(number, node_away=node_away, kept=kept)
        finals = sorted(FINAL.intersection(ending.outcomes))
        if finals != [Outcome.removed]:
            wrong[f"{number} {point}, {node_away=}, {kept=}"] = [outcome.value for outcome in finals]
    assert wrong == {}


@in_virtual_time
async def test_a_copy_that_comes_again_after_the_end_says_nothing_more() -> None:
    async with World(retention=timedelta(0)) as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await world.end()
        while Outcome.removed not in world.broker.outcomes:
            for node in world.nodes:
                node.cached()
            await asyncio.sleep(1)
        again = Delivery(encode_item(a_command()), COMMAND_TYPE, redelivered=True)
        world.broker.queues["eu"].put_nowait(again)
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.out_of_service, Outcome.removed]
