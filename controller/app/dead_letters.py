"""``dead``: the dead letters of each region, with their reasons; sending them again, or dropping them for good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal

from controller.app.assembly import now
from controller.app.ending import FAILED, finished, say, terminal_width
from controller.app.letters import apps_of, hold_letters, was_meant
from controller.domain.commands import Command
from controller.domain.events import Outcome, tell
from controller.domain.replay import Asker
from controller.domain.selection import Selection
from controller.errors import BrokerError, SettingsError
from controller.lifecycle import beside
from controller.ops.answers import letter_answer
from controller.ops.tables import counted, letters_table
from controller.rabbit.dead import DeadLetters, Letter
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings

CONNECT_PATIENCE = 10.0
"""Seconds that a command waits for the broker before it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks for on the command line."""

    selection: Selection
    asker: Asker
    action: Literal["list", "requeue", "drop"] = "list"
    as_json: bool = False
    yes: bool = False


def dead(settings: Settings, wish: Wish) -> int:
    """List, send again, or drop; the exit status."""
    region = wish.selection.region
    if region and region not in settings.regions:
        known = ", ".join(settings.regions) or "(none)"
        raise SettingsError([f"--region {region}: no such region in the settings; known: {known}"])
    if not settings.regions:
        raise SettingsError(["regions: none is configured; there are no dead letters to look for"])
    ended = finished(_dead(settings, wish), plain=True)
    return 1 if ended is FAILED else ended


async def _dead(settings: Settings, wish: Wish) -> int:
    names = [wish.selection.region] if wish.selection.region else list(settings.regions)
    async with AsyncExitStack() as opened:
        held = {
            name: await opened.enter_async_context(DeadLetters(settings=settings.broker, region=name)) for name in names
        }
        letters = [one for one in await hold_letters(held) if was_meant(one, wish.selection)]
        if not letters:
            say("no dead letters" + (" that fit" if wish.selection != Selection() else ""))
            return 0
        if wish.action == "requeue":
            outbox = await opened.enter_async_context(_outbox(settings))
            return await _requeue(letters, held, outbox, wish)
        if wish.action == "drop" and wish.yes:
            outbox = await opened.enter_async_context(_outbox(settings))
            return await _drop(letters, held, outbox, wish)
        if wish.as_json:
            for letter in letters:
                print(json.dumps(letter_answer(letter, apps_of(letter))))
        else:
            print(letters_table(letters, width=terminal_width()), end="")
        say(f"{len(letters)} dead letters: {counted(letter.region for letter in letters)}")
        if wish.action == "drop":
            say("nothing was dropped; --yes drops these for good")
        return 0


@asynccontextmanager
async def _outbox(settings: Settings) -> AsyncIterator[RabbitOutbox]:
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    async with beside(outbox.link.run):
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_PATIENCE):
                await outbox.link.wait_until_up()
        if not outbox.link.up:
            raise BrokerError(f"the broker cannot be written to: {outbox.link.trouble or 'it does not answer'}")
        yield outbox


async def _requeue(letters: Sequence[Letter], held: dict[str, DeadLetters], outbox: RabbitOutbox, wish: Wish) -> int:
    """Send each order again as it was given up: what it had proved goes with it, and every fence holds."""
    sent = 0
    for letter in letters:
        order = letter.order
        if order is None:
            say(f"left where it is: {letter.message_id or 'a message without id'} of {letter.region}: {letter.problem}")
            continue
        asker = wish.asker
        why = asker.why or "sent again from the dead letters"
        order = replace(order, requested_by=asker.by, requested_at=asker.at, requested_why=why)
        await outbox.send(order)
        if isinstance(order, Command):
            await outbox.record(tell(order, Outcome.requested, asker.at, published_at=now()))
        await held[letter.region].settle(letter.number)
        sent += 1
    say(f"{sent} of {len(letters)} sent again; follow them with: eureka-drain drains --follow")
    return 0 if sent == len(letters) else 1


async def _drop(letters: Sequence[Letter], held: dict[str, DeadLetters], outbox: RabbitOutbox, wish: Wish) -> int:
    """Drop them. The event log keeps who did so, and what the letter was about."""
    for letter in letters:
        if isinstance(letter.order, Command):
            asker = wish.asker
            order = replace(letter.order, requested_by=asker.by, requested_at=asker.at, requested_why=asker.why)
            reason = f"dropped from the dead letters: {letter.reason}"
            await outbox.record(tell(order, Outcome.failed, now(), reason=reason))
        await held[letter.region].settle(letter.number)
    say(f"{len(letters)} dropped")
    return 0
