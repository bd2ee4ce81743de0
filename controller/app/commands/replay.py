"""``replay``: plan, print, and only with ``--yes`` execute; ends when what was sent has come to an outcome."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from controller.app.assembly import event_log, living_pods, now, open_regions, policy_of, read_log
from controller.app.commands.dead_letter_plan import hold_messages, planned_message, was_meant
from controller.app.exit_status import FAILED, finished, progress, report, terminal_width
from controller.domain.drain_index import DrainIndex
from controller.domain.replay_plan import GOOD_ACTIONS, GOOD_ENDS, ReplayAction, ReplayItem, Requester
from controller.domain.selection import Selection
from controller.flows.replay_planner import ReplayPlanner
from controller.flows.replayer import Replayer
from controller.ops.tables import counted, drains_table, plan_table
from controller.rabbit.dead_letter_queue import DeadLetterQueue
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings
from controller.signals import beside, until_interrupted

EXTRA_LOOKBACK = timedelta(hours=1)
"""How much further back than asked the log is read: a drain may have begun before, and its beginning is needed."""
MAX_DRAINS = 200_000
"""Drains that are planned at a time."""
OUTCOME_TIMEOUT = timedelta(minutes=2)
"""How long after the last news an outcome is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What a person asks for on the command line."""

    selection: Selection
    requester: Requester
    dead: bool = False
    again: bool = False
    yes: bool = False
    a_second: float = 50.0


def replay(settings: Settings, wish: ReplayRequest) -> int:
    """Plan, print, execute when that is wished; the exit status."""
    ended = finished(_replay(settings, wish), plain=True)
    return 1 if ended is FAILED else ended


async def _replay(settings: Settings, wish: ReplayRequest) -> int:
    async with AsyncExitStack() as opened:
        planner, regions = await opened.enter_async_context(_planner(settings))
        held: dict[str, DeadLetterQueue] = {}
        begun = time.monotonic()
        if wish.dead:
            for name in regions:
                letters = DeadLetterQueue(settings=settings.broker, region=name)
                held[name] = await opened.enter_async_context(letters)
            items = await _plan_letters(planner, held, wish)
        else:
            items = await _plan_history(settings, planner, wish)
        if not items:
            report("nothing to replay: no drain fits")
            return 0
        took = time.monotonic() - begun
        print(plan_table(items, width=terminal_width()), end="")
        report(f"{len(items)} planned in {took:.1f} s: {counted(item.judged.verdict.value for item in items)}")
        to_drain = [item for item in items if item.judged.verdict is ReplayAction.drain]
        refused = sum(item.judged.verdict not in {*GOOD_ACTIONS, ReplayAction.drain} for item in items)
        if not wish.yes:
            report("nothing was changed; --yes executes this plan")
            return 0
        good = not to_drain or await _execute(settings, wish, to_drain, held)
        return 0 if good and not refused else 1


@asynccontextmanager
async def _planner(settings: Settings) -> AsyncIterator[tuple[ReplayPlanner, list[str]]]:
    async with AsyncExitStack() as opened:
        regions = await open_regions(settings, opened)
        living, why = await living_pods(settings)
        if living is None:
            report(f"living pods are not known, the registries alone decide: {why}")
        yield ReplayPlanner(regions=regions, policy=policy_of(settings), clock=now, living=living), list(regions)


async def _plan_history(settings: Settings, planner: ReplayPlanner, wish: ReplayRequest) -> list[ReplayItem]:
    selection = wish.selection
    history = DrainIndex(limit=MAX_DRAINS)
    since = selection.since or now() - settings.broker.events_kept
    marks = [one.encode() for one in selection.ids]
    wanted: Callable[[bytes], bool] = (lambda body: any(mark in body for mark in marks)) if marks else (lambda _: True)
    log = event_log(settings, look_back=now() - since + EXTRA_LOOKBACK, wanted=wanted)
    log.readers.append(history.apply)
    async with beside(log.link.run):
        await read_log(log)
    records = history.select(selection)
    with progress("planning", len(records)) as advance:
        return await planner.plan(records, wish.requester, again=wish.again, told=advance)


async def _plan_letters(
    planner: ReplayPlanner, held: dict[str, DeadLetterQueue], wish: ReplayRequest
) -> list[ReplayItem]:
    letters = [one for one in await hold_messages(held) if was_meant(one, wish.selection)]
    with progress("planning", len(letters)) as advance:
        items = []
        for letter in letters:
            items.append(await planned_message(planner, letter, wish.requester))
            advance()
        return items


async def _execute(
    settings: Settings, wish: ReplayRequest, items: Sequence[ReplayItem], held: dict[str, DeadLetterQueue]
) -> bool:
    """Send and wait; whether everything came to a good end."""
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    run = Replayer(outbox=outbox, clock=now, requested_at=wish.requester.at)
    log = event_log(settings, look_back=timedelta(minutes=1))
    log.readers.append(run.apply)
    begun = time.monotonic()
    async with beside(outbox.link.run), beside(log.link.run):
        await read_log(log)
        with progress("sending", len(items)) as advance:

            async def sent(item: ReplayItem) -> None:
                if item.letter is not None:
                    await held[item.region].settle(item.letter)
                advance()

            whole = await until_interrupted(run.send(items, a_second=wish.a_second, sent=sent))
        took = max(time.monotonic() - begun, 0.001)
        report(f"{len(run.came.sent)} of {len(items)} sent in {took:.1f} s ({len(run.came.sent) / took:.0f} a second)")
        with progress("outcomes", len(run.came.sent)) as advance:
            known = 0

            def told(_: object) -> None:
                nonlocal known
                for _more in range(len(run.came.settled) - known):
                    advance()
                known = len(run.came.settled)

            if whole:  # who has stopped it wants to go on with something else
                await until_interrupted(run.wait(OUTCOME_TIMEOUT, told=told))
    ended = list(run.came.settled.values())
    bad = [record for record in ended if record.state not in GOOD_ENDS]
    print(
        drains_table([*bad, *(record for record in ended if record not in bad)], now(), width=terminal_width()), end=""
    )
    report(f"outcomes: {counted(record.state.value for record in ended)}; {len(run.came.open)} without one yet")
    if run.came.open:
        report("what has none yet goes on by itself: eureka-drain drains --state requested")
    if not whole:
        report("stopped before everything was sent; run it again to continue")
    return whole and not bad and not run.came.open
