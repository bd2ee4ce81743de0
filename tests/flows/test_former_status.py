"""What a process said before it was taken out: our override hides it, and it says it still."""

from __future__ import annotations

import asyncio

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import RestoreCommand
from controller.domain.events import Outcome
from controller.domain.manual_commands import restores_of
from controller.domain.replay_plan import Requester
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.restoring import ledger_of, restore
from tests.flows.test_whose import OUT, UP
from tests.flows.world import World
from tests.unit.building import a_command, a_pod, at


@pytest.mark.parametrize("cause", [Cause.asked, Cause.node_lost, Cause.node_shutdown])
@pytest.mark.parametrize("word", ["DOWN", "STARTING"])
@in_virtual_time
async def test_a_process_that_was_not_up_is_put_back_as_it_was(word: str, cause: Cause) -> None:
    async with World() as world:
        own = await world.process(status=word)
        await world.send(a_command(a_pod(), cause=cause, end_at=at(86_400)))
        await world.until(Outcome.out_of_service)
        assert world.everywhere() == OUT
        await asyncio.sleep(60)
        if cause is Cause.asked:
            asker = Requester(by="ann", at=virtual_clock())
            for item in restores_of(a_pod(), "test", ledger_of(world).held_at(a_pod()), asker):
                assert isinstance(item, RestoreCommand)
                await world.send(item)
        else:
            await restore(world, a_pod())
        await world.until(Outcome.restored)
        await asyncio.sleep(60)
        assert world.everywhere() == [word, word]
        own.die()
        own = await world.process()
        assert world.everywhere() == UP, "nothing is left of ours"
        await asyncio.sleep(120)
        assert world.everywhere() == UP, "its drain is over, however it registers"
        assert world.broker.idle, "nobody looks for it any more"
        own.die()
