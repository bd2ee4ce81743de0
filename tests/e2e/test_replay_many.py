"""A replay of many drains at once: planned and sent at a good rate, stopped in the middle, and run again.

A fraction of the instances is UP and silent although its pod's drain has ended: these are to be drained. A fraction is
gone, and a fraction has been registered anew by a living successor: these must stay as they are. REPLAY_MANY sets how
many drains there are.
"""

import asyncio
import os
import re
import secrets
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.events import Outcome, make_event
from controller.domain.pods import Pod
from controller.rabbit.outbox import RabbitOutbox
from tests.contract.brokers import an_outbox
from tests.e2e.event_log import EventLog, event_log
from tests.e2e.operator import Operator
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_target

MANY = int(os.environ.get("REPLAY_MANY", "150"))
GONE, TAKEN_OVER = 5, 7
"""Of so many, one is gone, or taken over."""
AT_ONCE = 64
PATIENCE = 180 + MANY / 20


class Crowd:
    """Pods that ended an hour ago, as the event log has them, and their instances."""

    def __init__(self, app: str, region: str, eureka: EurekaNodes) -> None:
        self.app = app
        self.region = region
        self.eureka = eureka
        self.since_at = datetime.now(UTC)
        self.slots = asyncio.Semaphore(AT_ONCE)
        numbers = range(MANY)
        self.gone = {number for number in numbers if number % GONE == 0}
        self.taken_over = {number for number in numbers if number % TAKEN_OVER == 0} - self.gone
        self.silent = set(numbers) - self.gone - self.taken_over

    @staticmethod
    def ip(number: int) -> str:
        return f"10.66.{number // 250}.{number % 250 + 1}"

    def instance_id(self, number: int) -> str:
        return f"{self.ip(number)}:{self.app}:8080"

    async def write(self, outbox: RabbitOutbox) -> None:
        """Write into the log what would have been written."""
        await asyncio.gather(*(self._write(outbox, number) for number in range(MANY)))

    async def _write(self, outbox: RabbitOutbox, number: int) -> None:
        ip, name = self.ip(number), f"{self.app}-{number}"
        pod = Pod(
            namespace="shop",
            name=name,
            hostname=name,
            uid=f"{self.app}-{number}",
            ip=ip,
            created_at=self.since_at - timedelta(hours=1),
            deletion_at=self.since_at,
        )
        command = DrainCommand(
            drain_id=f"{self.app}-{number}",
            cluster=self.region,
            region=self.region,
            cause=Cause.terminating,
            pod=pod,
            observed_at=self.since_at,
            since_at=self.since_at,
            end_at=self.since_at,
        )
        target = a_target(app=self.app.upper(), id=self.instance_id(number), ip=ip)
        async with self.slots:
            await outbox.record(make_event(command, Outcome.requested, self.since_at))
            await outbox.record(make_event(command, Outcome.out_of_service, self.since_at, target=target))

    async def register(self, numbers: set[int], *, network: str = "10.66") -> None:
        """At every node."""

        async def one(number: int) -> None:
            async with self.slots:
                for node in self.eureka.nodes:
                    await node.registry.register(
                        self.app,
                        self.instance_id(number),
                        ip=self.ip(number).replace("10.66", network),
                        host=f"{self.app}-{number}",
                        renewal_seconds=1,
                        lease_seconds=7_200,
                    )

        await asyncio.gather(*(one(number) for number in numbers))

    async def statuses(self, numbers: set[int]) -> Counter[str | None]:
        async def one(number: int) -> list[str | None]:
            async with self.slots:
                return await self.eureka.statuses(self.app, self.instance_id(number))

        return Counter(status for both in await asyncio.gather(*(one(number) for number in numbers)) for status in both)

    async def cached(self, numbers: set[int]) -> None:
        """Wait until every node's response cache shows them, and nothing that has been deleted."""
        ids = {self.instance_id(number) for number in numbers}

        async def shown() -> bool:
            apps = [await node.registry.apps() for node in self.eureka.nodes]
            return all({one["instanceId"] for one in each.get(self.app.upper(), ())} == ids for each in apps)

        await until(shown, f"{len(ids)} instances in every response cache", timeout=PATIENCE, interval=1)


@pytest.mark.timeout(900 + MANY / 4)
async def test_many_are_replayed_once_each_and_no_successor_is_touched(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes
) -> None:
    app, region = f"many{secrets.token_hex(3)}", f"many-{secrets.token_hex(3)}"
    crowd = Crowd(app, region, eureka_pair)
    # On a quick machine they are not silent for long enough yet to be known for dead.
    guard = {"guard.max_percent_per_minute": "0", "guard.last_instance": "false"}
    settings = {"remove": "false", "watch.cluster": region, "log.level": "WARNING", **guard}
    worker = ControllerProcess(
        "work",
        "--region",
        region,
        log=tmp_path / "work.log",
        broker=broker.url,
        regions={region: eureka_pair.urls},
        settings=settings,
    )
    operator = Operator(cluster, broker, {region: eureka_pair.urls}, settings)
    await crowd.register(crowd.silent)
    await asyncio.sleep(3)  # a node that is told by its peer notes a time of its own
    crowd.since_at = datetime.now(UTC)
    async with an_outbox(broker, region, timeout=60) as outbox:
        await crowd.write(outbox)
    # The successors have an address of their own, and the ids of those before them.
    await asyncio.sleep(max(0.0, (crowd.since_at + timedelta(seconds=2) - datetime.now(UTC)).total_seconds()))
    await crowd.register(crowd.taken_over, network="10.67")
    await crowd.cached(crowd.silent | crowd.taken_over)
    filters = ("--since", "30m", "--region", region)
    async with event_log(broker.url, region) as log:
        try:
            planned = await operator.run("replay", *filters)
            expected = Counter(
                {
                    "would drain": len(crowd.silent),
                    "newer process": len(crowd.taken_over),
                    "already gone": len(crowd.gone),
                }
            )
            assert _verdicts(planned.rows) == expected
            assert not _asked(log), "a plan asks for nothing"

            # Nobody works yet: what is sent is asked for, and not answered, when it is run again.
            rate = max(20.0, len(crowd.silent) / 10)
            begun = await operator.start("replay", *filters, "--yes", "--rps", str(rate), "--reason", "first")
            await until(lambda: len(_asked(log)) >= len(crowd.silent) // 4, "a part of it sent", timeout=PATIENCE)
            stopped = await operator.interrupt(begun)
            assert "run it again to continue" in stopped.messages
            halfway = len(_asked(log))
            assert 0 < halfway < len(crowd.silent)

            waiting = await operator.run("replay", *filters)
            assert _verdicts(waiting.rows)["under way"] == halfway
            assert _verdicts(waiting.rows)["would drain"] == len(crowd.silent) - halfway
            await worker.start()

            async def answered() -> bool:
                return _outs(log) == halfway

            await until(answered, "the first half out of service", timeout=PATIENCE)
            done = await operator.run("replay", *filters, "--yes", "--rps", "2000", "--reason", "second")
            asked = Counter(event["drain_id"] for event in _asked(log))
            assert set(asked.values()) == {1}, "asked for twice"
            assert set(asked) == {f"{app}-{number}" for number in crowd.silent}, "left out, or too much"

            async def all_out() -> bool:
                return await crowd.statuses(crowd.silent) == {"OUT_OF_SERVICE": 2 * len(crowd.silent)}

            await until(all_out, "all of them out of service at every node", timeout=PATIENCE, interval=1)
            assert await crowd.statuses(crowd.taken_over) == {"UP": 2 * len(crowd.taken_over)}
            assert await crowd.statuses(crowd.gone) == {None: 2 * len(crowd.gone)}
            over = await operator.run("replay", *filters)
            assert _verdicts(over.rows) == Counter(
                {"already out of service": len(crowd.silent)}
                | {"newer process": len(crowd.taken_over), "already gone": len(crowd.gone)}
            )
        finally:
            await worker.stop()
    for said in (planned, stopped, done):
        print("\n".join(line for line in said.messages.splitlines() if re.search(r"planned|sent|outcomes", line)))
    print(f"{MANY} drains; {halfway} asked for when it was interrupted", file=sys.stderr)
    assert "Traceback" not in worker.log.read_text()


def _verdicts(rows: list[str]) -> Counter[str]:
    return Counter(re.split(r"\s{2,}", row)[0] for row in rows)


def _outs(log: EventLog) -> int:
    """How many of these are out of service by now."""
    return len({one["drain_id"] for one in log.events if one["outcome"] == "out_of_service" and one["requested_by"]})


def _asked(log: EventLog) -> list[dict[str, str]]:
    """What a person has asked for."""
    return [one for one in log.events if one["outcome"] == "requested" and one["requested_by"]]
