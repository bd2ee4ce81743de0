"""The rollouts: in each round every variant once, in random order and after random waits, one after the other.

Only one variant's JVMs start at a time, since two cores run everything: the next restart is asked for when the new pods
of the one before are all ready, and a random wait has passed. So the rollouts of a round overlap in their slow part,
where old pods stay for their window and nothing starts.

A round is over when every old pod is gone, every new instance is UP at every node, and every caller calls just the
living ones, so that no cache holds anything old. The next one begins with new callers, each started after a random wait
of its own: where in their periods the caches are to each other, and at the restart, is chance.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial

from tests.headline import scene
from tests.headline.callers import Caller
from tests.headline.observing import Observer
from tests.headline.record import Rollout
from tests.headline.trial import Trial
from tests.headline.variants import REPLICAS, Variant
from tests.stack.timeline import now
from tests.stack.waiting import NeverHappenedError, until

RENEWING, BETWEEN_VARIANTS = 35.0, 10.0
"""A wait is up to so many seconds; the first is as long as the longest period of a cache."""
LONGEST_ROLLOUT = 300.0
LOOK_SECONDS = 1.0


async def roll_all(trial: Trial, count: int, chance: random.Random) -> list[str]:
    """So many rounds, or until something failed, and what that was."""

    async def roll() -> None:
        for number in range(1, count + 1):
            await _roll(trial, number, chance)

    async def watch() -> None:
        while not trial.failed_parts():  # noqa: ASYNC110 - a process is looked at, no event tells
            await asyncio.sleep(LOOK_SECONDS)

    rolling, watching = asyncio.create_task(roll()), asyncio.create_task(watch())
    try:
        await asyncio.wait({rolling, watching}, return_when=asyncio.FIRST_COMPLETED)
        if rolling.done():
            rolling.result()
        return list(trial.failed_parts())
    except NeverHappenedError as error:
        return [str(error), *trial.failed_parts()]
    finally:
        trial.ended_at = now()
        for task in (rolling, watching):
            task.cancel()
        await asyncio.gather(rolling, watching, return_exceptions=True)


async def _roll(trial: Trial, number: int, chance: random.Random) -> None:
    async with asyncio.TaskGroup() as renewing:
        for caller in trial.callers.values():
            renewing.create_task(_renew(caller, chance.uniform(0, RENEWING)))
    await scene.all_called(trial)
    round_of = []
    for variant in chance.sample(trial.variants, k=len(trial.variants)):
        await asyncio.sleep(chance.uniform(0, BETWEEN_VARIANTS))
        round_of.append(await _restart(trial, variant, number))
    for rollout in round_of:
        await until(partial(_is_over, rollout), f"the old pods of {rollout.variant} gone", timeout=LONGEST_ROLLOUT)
    await scene.all_up(trial)
    await scene.all_called(trial)
    trial.report_progress(f"round {number}: over, and every caller calls the new instances only")


async def _renew(caller: Caller, wait: float) -> None:
    await asyncio.sleep(wait)
    await caller.rotate_credentials()


async def _restart(trial: Trial, variant: Variant, number: int) -> Rollout:
    """Until all new pods are ready; the old ones may stay for long."""
    old = [trial.observer.of(variant, pod) for pod in trial.observer.living(variant)]
    rollout = Rollout(variant.key, number, now(), old)
    trial.rollouts.append(rollout)
    trial.report_progress(f"round {number}: kubectl rollout restart deployment/{variant.key}")
    await trial.stack.cluster.kubectl("rollout", "restart", f"deployment/{variant.key}", "-n", variant.key)
    what = f"{REPLICAS} new pods of {variant.key} ready"
    replaced = partial(_replaced, trial.observer, variant, {one.id for one in old})
    await until(replaced, what, timeout=LONGEST_ROLLOUT)
    return rollout


def _replaced(observer: Observer, variant: Variant, old: set[str]) -> bool:
    return len(observer.ready(variant) - old) == len(observer.living(variant)) == REPLICAS


def _is_over(rollout: Rollout) -> bool:
    return rollout.gone_at is not None
