"""Dead letters of the real broker: a look loses none of them, whatever happens to the process that looks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aio_pika
import pytest

from controller.domain.commands import make_restore
from controller.domain.held_instances import HeldInstance
from controller.domain.reason import ReasonCode
from controller.errors import BrokerError
from controller.messages.codec import CONTENT_TYPE, encode_item
from controller.rabbit import names
from controller.rabbit.dead_letter_queue import NO_REASON, LockWait, RabbitDeadLetterQueue
from tests.contract.brokers import a_channel, an_outbox, command_for, fresh_region, settings_for
from tests.contract.dead_letters import ids, letters_of, numbered, parked, settled_down, waiting
from tests.stack.rabbitmq import RabbitMq
from tests.unit.building import NOON, a_command, a_pod, a_reason

ROOT = Path(__file__).parents[2]


async def test_they_are_shown_with_their_reasons_the_oldest_first(broker: RabbitMq) -> None:
    async with parked(broker, 5) as (region, _):
        for _again in range(3):
            async with letters_of(broker, region) as held:
                letters = await held.hold()
                assert ids(letters) == numbered(5)
                assert [letter.number for letter in letters] == [1, 2, 3, 4, 5]
                assert [letter.reason for letter in letters] == [f"reason {number}" for number in range(5)]
                assert {letter.reason_code for letter in letters} == {ReasonCode.unreachable}
                assert all(letter.item and not letter.problem and letter.died_at for letter in letters)
            await settled_down(broker, region, 5)


async def test_what_is_settled_is_gone_and_the_others_keep_their_order(broker: RabbitMq) -> None:
    async with parked(broker, 6) as (region, outbox):
        async with letters_of(broker, region) as held:
            for letter in await held.hold():
                if letter.number % 2:
                    await held.settle(letter.number)
        await settled_down(broker, region, 3)
        await outbox.dead_letter(region, command_for(region, "later"), a_reason("later"))
        async with letters_of(broker, region) as held:
            assert sorted(ids(await held.hold())) == ["d1", "d3", "d5", "later"]


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
async def test_what_is_settled_just_before_the_end_does_not_come_back(broker: RabbitMq, at_once: bool) -> None:
    for _again in range(5):
        async with parked(broker, 200) as (region, _):
            async with letters_of(broker, region) as held:
                letters = await held.hold()
                if at_once:
                    await asyncio.gather(*(held.settle(letter.number) for letter in letters))
                else:
                    for letter in letters:
                        await held.settle(letter.number)
            async with letters_of(broker, region) as held:
                assert ids(await held.hold()) == []


async def test_no_more_are_taken_than_are_asked_for(broker: RabbitMq) -> None:
    async with parked(broker, 5) as (region, _):
        async with letters_of(broker, region) as held:
            assert ids(await held.hold(2)) == ["d0", "d1"]
            assert await waiting(broker, region) == 3
        await settled_down(broker, region, 5)


async def test_who_looks_while_somebody_else_does_waits_and_sees_all(broker: RabbitMq) -> None:
    async with parked(broker, 50) as (region, _):
        async with letters_of(broker, region) as other:
            async with letters_of(broker, region) as one:
                assert ids(await one.hold()) == numbered(50)
                second = asyncio.create_task(other.hold())
                await asyncio.sleep(0.5)
                assert not second.done()
            assert sorted(ids(await second)) == sorted(numbered(50))
        await settled_down(broker, region, 50)


async def test_what_was_held_is_back_as_soon_as_a_look_has_ended(broker: RabbitMq) -> None:
    async with parked(broker, 500) as (region, _):
        for _again in range(5):
            async with letters_of(broker, region) as held:
                assert len(await held.hold()) == 500
            assert await waiting(broker, region) == 500


async def test_who_waits_too_long_for_others_hears_that_they_are_there(broker: RabbitMq) -> None:
    async with parked(broker, 1) as (region, _), letters_of(broker, region) as one:
        await one.hold()
        async with RabbitDeadLetterQueue(
            settings=settings_for(broker), region=region, lock_wait=LockWait(timeout=0.5, interval=0.05)
        ) as other:
            with pytest.raises(BrokerError, match="somebody else is handling them"):
                await other.hold()


async def test_a_thousand_are_held_and_put_back(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region, timeout=30) as outbox:
        await asyncio.gather(
            *(outbox.dead_letter(region, command_for(region, f"d{n}"), a_reason("many")) for n in range(1_000))
        )
        async with letters_of(broker, region) as held:
            assert sorted(ids(await held.hold())) == sorted(numbered(1_000))
            assert await waiting(broker, region) == 0
        await settled_down(broker, region, 1_000)
        async with letters_of(broker, region) as held:
            letters = await held.hold()
            for letter in letters:
                await held.settle(letter.number)
        await settled_down(broker, region, 0)


async def test_what_is_not_ours_is_shown_with_what_is_wrong_with_it(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        exchange = await channel.get_exchange(names.DEAD)
        foreign = encode_item(command_for("elsewhere"))
        for body, type_ in ((b"<html>\xff", None), (b'{"version": 99}', "drain.command"), (foreign, "drain.command")):
            message = aio_pika.Message(body, type=type_, content_type=CONTENT_TYPE, headers={"x-reason": None})
            await exchange.publish(message, region)
        odd = aio_pika.Message(b"", headers={"x-reason": {"a": [1]}}, content_type="text/plain", message_id="m" * 200)
        await exchange.publish(odd, region)
        held_instance = HeldInstance(
            drain_id="d", region=region, app="A", id="i", cause=a_command().cause, namespace="n", pod="p", uid="u",
            ip="10.0.0.1", since_at=NOON, out_at=NOON,
        )  # fmt: skip
        await outbox.dead_letter(
            region, make_restore("test", region, a_pod(), (held_instance,), NOON), a_reason("a restore")
        )
        async with letters_of(broker, region) as held:
            letters = await held.hold()
            problems = [letter.problem for letter in letters]
            for words, problem in zip(
                ("message type (none)", "version 99", "'elsewhere'", "message type (none)"), problems, strict=False
            ):
                assert words in problem
            assert problems[4:] == [""], "a restore is ours"
            assert [letter.item is None for letter in letters] == [True] * 4 + [False]
            assert [(letter.reason, letter.reason_code) for letter in letters[:3]] == [(NO_REASON, None)] * 3
            assert letters[3].message_id == "m" * 200
            await held.settle(1)
        await settled_down(broker, region, 4)


async def test_of_a_region_that_nobody_has_declared_there_are_none(broker: RabbitMq) -> None:
    async with letters_of(broker, fresh_region()) as held:
        assert await held.hold() == []
    async with parked(broker, 0) as (region, _), letters_of(broker, region) as held:
        assert await held.hold() == []


async def test_when_the_connection_drops_they_are_back_and_settling_is_refused(broker: RabbitMq) -> None:
    async with parked(broker, 3) as (region, _):
        async with letters_of(broker, region) as held:
            await held.hold()
            assert held._connection is not None
            await held._connection.close()
            await settled_down(broker, region, 3)
            with pytest.raises(BrokerError):
                await held.settle(1)
        await settled_down(broker, region, 3)


HOLD = """
import asyncio, sys, time
from controller.rabbit.dead_letter_queue import RabbitDeadLetterQueue
from controller.settings import BrokerSettings, SecretUrl
async def main():
    async with RabbitDeadLetterQueue(settings=BrokerSettings(url=SecretUrl(sys.argv[1])), region=sys.argv[2]) as held:
        letters = await held.hold()
        await held.settle(1)
        print(len(letters), flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_when_their_holder_is_killed_all_are_back_but_the_settled_ones(broker: RabbitMq) -> None:
    async with parked(broker, 20) as (region, _):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLD, broker.url, region, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env=os.environ
        )
        try:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), 30) == b"20\n"
            assert await waiting(broker, region) == 0
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await settled_down(broker, region, 19)
        async with letters_of(broker, region) as held:
            assert sorted(ids(await held.hold())) == sorted(numbered(20)[1:])


async def test_without_a_broker_the_error_says_so(broker: RabbitMq) -> None:
    settings = settings_for(broker).model_copy(update={"url": type(settings_for(broker).url)("amqp://127.0.0.1:1/")})
    async with RabbitDeadLetterQueue(settings=settings, region="eu") as held:
        with pytest.raises(BrokerError, match="the dead letters of eu cannot be read"):
            await held.hold()


async def test_a_dead_letter_that_was_looked_at_often_is_not_dropped(broker: RabbitMq) -> None:
    async with parked(broker, 1) as (region, _):
        for _look in range(110):
            async with letters_of(broker, region) as held:
                assert len(await held.hold()) == 1
            await settled_down(broker, region, 1)
