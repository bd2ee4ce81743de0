"""Dead letters as the commands see them: which ones are meant, and what a replay would do with them."""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.commands import DrainCommand
from controller.domain.replay_plan import ReplayAction, ReplayDecision, ReplayItem, Requester, requested
from controller.domain.selection import Selection
from controller.flows.replay_planner import ReplayPlanner
from controller.rabbit.dead_letter_queue import MAX_MESSAGES, DeadLetterQueue, DeadMessage


async def hold_messages(held: Mapping[str, DeadLetterQueue], *, most: int = MAX_MESSAGES) -> list[DeadMessage]:
    """The dead letters of every region, held."""
    return [letter for region in held.values() for letter in await region.hold(most)]


def was_meant(letter: DeadMessage, selection: Selection) -> bool:
    """Whether the filters choose it. What cannot be read fits no filter but its region's."""
    if selection.region and letter.region != selection.region:
        return False
    item = letter.item
    if item is None:
        return not (selection.ids or selection.pod or selection.namespace or selection.app)
    return selection.fits(
        region=item.region,
        namespace=item.pod.namespace,
        pod=item.pod.key,
        apps=apps_of(letter),
        drain_id=item.drain_id,
    )


def apps_of(letter: DeadMessage) -> tuple[str, ...]:
    """The apps that it names; none when its drain had not found its instance yet."""
    item = letter.item
    if item is None:
        return ()
    if isinstance(item, DrainCommand):
        return tuple(dict.fromkeys(target.app for target in item.progress.targets)) if item.progress else ()
    return tuple(dict.fromkeys(held.app for held in item.held))


async def planned_message(planner: ReplayPlanner, letter: DeadMessage, requester: Requester) -> ReplayItem:
    """What a replay would do with one."""
    if isinstance(letter.item, DrainCommand):
        return await planner.judge(requested(letter.item, requester), letter=letter.number)
    why = "a restore: dead requeue sends it again" if letter.item else f"not a message of ours: {letter.problem}"
    return ReplayItem(
        drain_id=letter.item.drain_id if letter.item else letter.message_id or "-",
        region=letter.region,
        pod=letter.item.pod.key if letter.item else "-",
        apps=apps_of(letter),
        judged=ReplayDecision(verdict=ReplayAction.refuse, reason=why),
    )
