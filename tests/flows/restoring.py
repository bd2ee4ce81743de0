"""What the watch does for a living pod, and what the log says by then."""

from __future__ import annotations

from datetime import timedelta

from controller.domain.commands import DrainCommand, make_restore
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.restore import may_have_taken_over
from tests.fakes.virtual_time import virtual_clock
from tests.flows.world import World
from tests.unit.building import a_command, a_pod, terminating


def ledger_of(world: World) -> Ledger:
    ledger = Ledger()
    for entry in world.broker.entries:
        ledger.apply(entry)
    return ledger


async def restore(world: World, pod: Pod) -> None:
    """What the watch sends for a living pod: RestoreDispatcher matches it with what the ledger holds."""
    held = tuple(one for one in ledger_of(world).held_at(pod) if may_have_taken_over(pod, one))
    if held:
        await world.send(make_restore("test", "eu", pod, held, virtual_clock()))


def going(pod: Pod | None = None, *, grace: float = 30) -> DrainCommand:
    now = virtual_clock()
    pod = terminating(pod or a_pod(), asked_at=now)
    return a_command(pod, observed_at=now, since_at=now, end_at=now + timedelta(seconds=grace))
