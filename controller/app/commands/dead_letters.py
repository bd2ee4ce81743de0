"""``dead``: the dead letters of each region, with their reasons; sending them again, or dropping them for good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal

from controller.app.assembly import now
from controller.app.commands.dead_letter_plan import apps_of, hold_messages, was_meant
from controller.app.exit_status import FAILED, finished, report, terminal_width
from controller.domain.commands import DrainCommand
from controller.domain.events import Outcome, make_event
from controller.domain.replay_plan import Requester
from controller.domain.selection import Selection
from controller.errors import BrokerError, SettingsError
from controller.ops.answers import dead_message_answer
from controller.ops.tables import counted, dead_letters_table
from controller.rabbit.dead_letter_queue import DeadLetterQueue, DeadMessage
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings
from controller.signals import beside

CONNECT_TIMEOUT = 10.0
"""Seconds that a command waits for the broker before it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRequest:
    """What a person asks for on the command line."""

    selection: Selection
    requester: Requester
    action: Literal["list", "requeue", "drop"] = "list"
    as_json: bool = False
    yes: bool = False


def dead(settings: Settings, wish: DeadLetterRequest) -> int:
    """List, send again, or drop; the exit status."""
    region = wish.selection.region
    if region and region not in settings.regions:
        known = ", ".join(settings.regions) or "(none)"
        raise SettingsError([f"--region {region}: no such region in the settings; known: {known}"])
    if not settings.regions:
        raise SettingsError(["regions: none is configured; there are no dead letters to look for"])
    ended = finished(_dead(settings, wish), plain=True)
    return 1 if ended is FAILED else ended


async def _dead(settings: Settings, wish: DeadLetterRequest) -> int:
    names = [wish.selection.region] if wish.selection.region else list(settings.regions)
    async with AsyncExitStack() as opened:
        held = {
            name: await opened.enter_async_context(DeadLetterQueue(settings=settings.broker, region=name))
            for name in names
        }
        letters = [one for one in await hold_messages(held) if was_meant(one, wish.selection)]
        if not letters:
            report("no dead letters" + (" that fit" if wish.selection != Selection() else ""))
            return 0
        if wish.action == "requeue":
            outbox = await opened.enter_async_context(_outbox(settings))
            return await _requeue(letters, held, outbox, wish)
        if wish.action == "drop" and wish.yes:
            outbox = await opened.enter_async_context(_outbox(settings))
            return await _drop(letters, held, outbox, wish)
        if wish.as_json:
            for letter in letters:
                print(json.dumps(dead_message_answer(letter, apps_of(letter))))
        else:
            print(dead_letters_table(letters, width=terminal_width()), end="")
        report(f"{len(letters)} dead letters: {counted(letter.region for letter in letters)}")
        if wish.action == "drop":
            report("nothing was dropped; --yes drops these for good")
        return 0


@asynccontextmanager
async def _outbox(settings: Settings) -> AsyncIterator[RabbitOutbox]:
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    async with beside(outbox.link.run):
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await outbox.link.wait_until_up()
        if not outbox.link.up:
            raise BrokerError(f"the broker cannot be written to: {outbox.link.trouble or 'it does not answer'}")
        yield outbox


async def _requeue(
    letters: Sequence[DeadMessage], held: dict[str, DeadLetterQueue], outbox: RabbitOutbox, wish: DeadLetterRequest
) -> int:
    """Send each order again as it was given up: what it had proved goes with it, and every fence holds."""
    sent = 0
    for letter in letters:
        item = letter.item
        if item is None:
            report(
                f"left where it is: {letter.message_id or 'a message without id'} of {letter.region}: {letter.problem}"
            )
            continue
        requester = wish.requester
        why = requester.why or "sent again from the dead letters"
        item = replace(item, requested_by=requester.by, requested_at=requester.at, requested_why=why)
        await outbox.send(item)
        if isinstance(item, DrainCommand):
            await outbox.record(make_event(item, Outcome.requested, requester.at, published_at=now()))
        await held[letter.region].settle(letter.number)
        sent += 1
    report(f"{sent} of {len(letters)} sent again; follow them with: eureka-drain drains --follow")
    return 0 if sent == len(letters) else 1


async def _drop(
    letters: Sequence[DeadMessage], held: dict[str, DeadLetterQueue], outbox: RabbitOutbox, wish: DeadLetterRequest
) -> int:
    """Drop them. The event log keeps who did so, and what the letter was about."""
    for letter in letters:
        if isinstance(letter.item, DrainCommand):
            requester = wish.requester
            item = replace(
                letter.item, requested_by=requester.by, requested_at=requester.at, requested_why=requester.why
            )
            reason = f"dropped from the dead letters: {letter.reason}"
            await outbox.record(make_event(item, Outcome.failed, now(), reason=reason))
        await held[letter.region].settle(letter.number)
    report(f"{len(letters)} dropped")
    return 0
