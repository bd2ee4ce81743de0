"""``replay``: plan, print, and only with ``--yes`` execute; ends when what was sent has come to an outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from controller.app.assembly import event_log, make_planner, now, open_regions, read_log, see_written
from controller.app.commands.dead_letters import dead_letter_queues
from controller.app.commands.drains import read_selected
from controller.app.exit_status import progress
from controller.domain.replay_plan import GOOD_ACTIONS, GOOD_ENDS, ReplayAction, ReplayItem, Requester
from controller.domain.selection import Selection
from controller.flows.ports import DeadLetterQueue
from controller.flows.publisher import Publisher
from controller.flows.replay_planner import ReplayPlanner
from controller.flows.replayer import Replayer
from controller.flows.requeue import hold_messages
from controller.ops.tables import counted, drains_table, plan_table
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings
from controller.signals import beside, until_interrupted
from controller.terminal import report, terminal_width

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
    per_second: float = 50.0


async def replay(settings: Settings, request: ReplayRequest) -> int:
    """Plan, print, and execute when that is requested; return the exit status."""
    async with AsyncExitStack() as opened:
        regions = await open_regions(settings, opened)
        planner, doubt = await make_planner(settings, regions)
        if doubt:
            report(f"living pods are not known, the registries alone decide: {doubt}")
        queues: dict[str, DeadLetterQueue] = {}
        begun = time.monotonic()
        if request.dead:
            queues.update(await dead_letter_queues(settings, list(regions), opened))
            items = await _plan_dead_letters(planner, queues, request)
        else:
            items = await _plan_drains(settings, planner, request)
        if not items:
            report("nothing to replay: no drain fits")
            return 0
        took = time.monotonic() - begun
        print(plan_table(items, width=terminal_width()), end="")
        report(f"{len(items)} planned in {took:.1f} s: {counted(item.decision.action.value for item in items)}")
        to_drain = [item for item in items if item.decision.action is ReplayAction.drain]
        refused = sum(item.decision.action not in {*GOOD_ACTIONS, ReplayAction.drain} for item in items)
        if not request.yes:
            report("nothing was changed; --yes executes this plan")
            return 0
        good = not to_drain or await _execute(settings, request, to_drain, queues)
        return 0 if good and not refused else 1


async def _plan_drains(settings: Settings, planner: ReplayPlanner, request: ReplayRequest) -> list[ReplayItem]:
    records = await read_selected(settings, request.selection, limit=MAX_DRAINS)
    with progress("planning", len(records)) as show:
        done = count(1)
        return await planner.plan(records, request.requester, again=request.again, report=lambda: show(next(done)))


async def _plan_dead_letters(
    planner: ReplayPlanner, queues: Mapping[str, DeadLetterQueue], request: ReplayRequest
) -> list[ReplayItem]:
    messages = await hold_messages(queues, request.selection)
    for name, queue in queues.items():
        if queue.unseen:
            report(f"{queue.unseen} dead letters of {name} are not in this plan; run it again for them")
    items: list[ReplayItem] = []
    with progress("planning", len(messages)) as show:
        for message in messages:
            items.append(await planner.plan_dead_message(message, request.requester))
            show(len(items))
    return items


async def _execute(
    settings: Settings, request: ReplayRequest, items: Sequence[ReplayItem], queues: Mapping[str, DeadLetterQueue]
) -> bool:
    """Send and wait; return whether everything came to a good end."""
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    publisher = Publisher(outbox=outbox, clock=now)
    replayer = Replayer(publisher=publisher, requested_at=request.requester.at)
    run = replayer.progress
    log = event_log(settings, look_back=timedelta(minutes=1))
    log.readers.append(replayer.apply)
    begun = time.monotonic()
    async with beside(outbox.link.run), beside(log.link.run):
        await read_log(log)
        try:
            with progress("sending", len(items)) as show:

                async def sent(item: ReplayItem) -> None:
                    if item.dead_number is not None:
                        await queues[item.region].settle(item.dead_number)
                    show(len(run.sent))

                whole = await until_interrupted(replayer.send(items, per_second=request.per_second, sent=sent))
            took = max(time.monotonic() - begun, 0.001)
            report(f"{len(run.sent)} of {len(items)} sent in {took:.1f} s ({len(run.sent) / took:.0f} a second)")
            if whole:  # somebody who has stopped it wants to go on with something else
                with progress("outcomes", len(run.sent)) as show:
                    waiting = replayer.wait(OUTCOME_TIMEOUT, report=lambda one: show(len(one.settled)))
                    await until_interrupted(waiting)
        finally:
            written = await see_written(publisher)
    ended = list(run.settled.values())
    bad = [record for record in ended if record.state not in GOOD_ENDS]
    good = [record for record in ended if record.state in GOOD_ENDS]
    print(drains_table([*bad, *good], now(), width=terminal_width()), end="")
    report(f"outcomes: {counted(record.state.value for record in ended)}; {len(run.open)} without one yet")
    if run.open:
        report("what has none yet goes on by itself: eureka-drain drains --state requested,retrying")
    if not whole:
        report("stopped before everything was sent; run it again to continue")
    return whole and written and not bad and not run.open
