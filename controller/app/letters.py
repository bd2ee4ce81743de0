"""Dead letters as the commands see them: which ones are meant, and what a replay would do with them."""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.commands import Command
from controller.domain.replay import Asker, Item, Judged, Verdict, asked
from controller.domain.selection import Selection
from controller.flows.planning import Planner
from controller.rabbit.dead import MOST, DeadLetters, Letter


async def hold_letters(held: Mapping[str, DeadLetters], *, most: int = MOST) -> list[Letter]:
    """The dead letters of every region, held."""
    return [letter for region in held.values() for letter in await region.hold(most)]


def was_meant(letter: Letter, selection: Selection) -> bool:
    """Whether the filters choose it. What cannot be read fits no filter but its region's."""
    if selection.region and letter.region != selection.region:
        return False
    order = letter.order
    if order is None:
        return not (selection.ids or selection.pod or selection.namespace or selection.app)
    return selection.fits(
        region=order.region,
        namespace=order.pod.namespace,
        pod=order.pod.key,
        apps=apps_of(letter),
        drain_id=order.drain_id,
    )


def apps_of(letter: Letter) -> tuple[str, ...]:
    """The apps that it names; none when its drain had not found its instance yet."""
    order = letter.order
    if order is None:
        return ()
    if isinstance(order, Command):
        return tuple(dict.fromkeys(target.app for target in order.progress.targets)) if order.progress else ()
    return tuple(dict.fromkeys(taken.app for taken in order.taken))


async def planned_letter(planner: Planner, letter: Letter, asker: Asker) -> Item:
    """What a replay would do with one."""
    if isinstance(letter.order, Command):
        return await planner.judge(asked(letter.order, asker), letter=letter.number)
    why = "a restore: dead requeue sends it again" if letter.order else f"not a message of ours: {letter.problem}"
    return Item(
        drain_id=letter.order.drain_id if letter.order else letter.message_id or "-",
        region=letter.region,
        pod=letter.order.pod.key if letter.order else "-",
        apps=apps_of(letter),
        judged=Judged(verdict=Verdict.refuse, reason=why),
    )
