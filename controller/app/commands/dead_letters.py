"""``dead``: list the dead letters of each region with their reasons, send them again, or drop them for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from controller.app.assembly import now, open_outbox, see_written
from controller.domain.dead_messages import DeadMessage
from controller.domain.replay_plan import Requester
from controller.domain.selection import Selection
from controller.errors import SettingsError
from controller.flows.ports import DeadLetterQueue
from controller.flows.publisher import Publisher
from controller.flows.requeue import hold_messages, settle_each
from controller.ops.answers import dead_message_answer, json_text
from controller.ops.tables import dead_letters_counted, dead_letters_table
from controller.rabbit.dead_letter_queue import WORKING, LockWait, RabbitDeadLetterQueue
from controller.settings import Settings
from controller.terminal import report, terminal_width


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRequest:
    """What a person asks for on the command line."""

    selection: Selection
    requester: Requester
    action: Literal["list", "requeue", "drop"] = "list"
    as_json: bool = False
    yes: bool = False


async def dead(settings: Settings, request: DeadLetterRequest) -> int:
    """List, send again, or drop; return the exit status."""
    region = request.selection.region
    if region and region not in settings.regions:
        known = ", ".join(settings.regions) or "(none)"
        raise SettingsError([f"--region {region}: no such region in the settings; known: {known}"])
    if not settings.regions:
        raise SettingsError(["regions: none is configured; there are no dead letters to look for"])
    names = [region] if region else list(settings.regions)
    async with AsyncExitStack() as opened:
        queues = await dead_letter_queues(settings, names, opened)
        if request.action == "requeue" or (request.action == "drop" and request.yes):
            return await _settle(settings, queues, request, opened)
        messages = await hold_messages(queues, request.selection)
    # They are back in their queues before a slow terminal has shown them.
    if not messages:
        report("no dead letters" + (" that fit" if request.selection != Selection() else ""))
    elif request.as_json:
        for message in messages:
            print(json_text(dead_message_answer(message)))
    else:
        print(dead_letters_table(messages, width=terminal_width()), end="")
    if messages:
        report(dead_letters_counted(messages))
    for name, queue in queues.items():
        if queue.unseen:
            report(f"at least {queue.unseen} more of {name} were not looked at: filter, or handle these first")
    if messages and request.action == "drop":
        report("nothing was dropped; --yes drops these for good")
    return 0


async def _settle(
    settings: Settings, queues: Mapping[str, DeadLetterQueue], request: DeadLetterRequest, opened: AsyncExitStack
) -> int:
    """Send each of them again, or drop it; return the exit status."""
    outbox = await open_outbox(settings, opened)
    publisher = Publisher(outbox=outbox, clock=now)
    opened.push_async_callback(see_written, publisher)
    drops = request.action == "drop"
    done = await settle_each(queues, request.selection, request.requester, drops=drops, publisher=publisher, clock=now)
    for message in done.foreign:
        report(f"left where it is: {_name_of(message)} of {message.region}: {message.problem}")
    settled, unreadable = done.settled, len(done.foreign)
    if not settled + unreadable:
        report("no dead letters" + (" that fit" if request.selection != Selection() else ""))
    elif drops:
        report(f"{settled} dropped")
    else:
        report(f"{settled} of {settled + unreadable} sent again; follow them with: eureka-drain drains --follow")
    for name, number in done.unseen.items():
        report(f"{number} of {name} could not be seen: somebody else holds them; run it again")
    if unreadable:
        report("what is no message of ours can only be dropped: eureka-drain dead drop --id MESSAGE_ID --yes")
    return 1 if unreadable or done.unseen else 0


def _name_of(message: DeadMessage) -> str:
    return message.message_id or "a message without id"


async def dead_letter_queues(
    settings: Settings, regions: Sequence[str], opened: AsyncExitStack, *, lock_wait: LockWait = WORKING
) -> dict[str, RabbitDeadLetterQueue]:
    """Return the dead letter queue of each region; what was held goes back when the stack is left."""
    return {
        name: await opened.enter_async_context(
            RabbitDeadLetterQueue(settings=settings.broker, region=name, lock_wait=lock_wait)
        )
        for name in regions
    }
