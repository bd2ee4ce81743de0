"""The event log as commands read it: entries a second, and that a short question does not read a long history.

The events are written through the product's own outbox: three a drain, as a drain that goes well records them. Then a
process of its own, which begins with nothing, reads them all and folds them into drains; and a second one asks for what
was written after a pause only. A stream finds a time by its chunks, so that one may read a little more.
"""

import asyncio
import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from loguru import logger

from controller.app.assembly import event_log, read_log
from controller.app.garbage import look_rarely
from controller.domain.commands import DrainCommand
from controller.domain.drain_index import DrainIndex
from controller.domain.events import Outcome, make_event
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings, SecretUrl, Settings
from controller.signals import beside
from tests.stack.prerequisites import ReportProgress
from tests.unit.building import NODES, a_command, a_pod, a_target, an_instance, readings, terminating

STORY = (Outcome.requested, Outcome.out_of_service, Outcome.removed)
TOGETHER = 2_000
LATELY = 2_000
"""Events after the pause."""
PAUSE = 5.0
MOST_MEGABYTES = 600
"""Of the process that folds: 50,000 drains and what Python itself takes."""


@dataclass
class Read:
    """What a reader found, and what that cost."""

    entries: int
    drains: int
    forgotten: int
    seconds: float
    megabytes: float


async def measure(url: str, count: int, report_progress: ReportProgress) -> bool:
    """Write, read, and print; whether the bounds were kept."""
    logger.disable("controller")
    settings = BrokerSettings(url=SecretUrl(url), timeout=timedelta(seconds=60))
    outbox = RabbitOutbox(settings=settings, regions=["eu"])
    async with beside(outbox.link.run):
        await outbox.link.wait_until_up()
        report_progress(f"writing {count} events")
        begun = time.monotonic()
        await _write(outbox, range(count))
        took = time.monotonic() - begun
        await asyncio.sleep(PAUSE)
        lately_at = datetime.now(UTC)
        await _write(outbox, range(count, count + LATELY))
    report_progress("reading them all, and then the newest only")
    everything = await _read_apart(url, timedelta(days=1))
    lately = await _read_apart(url, datetime.now(UTC) - lately_at + timedelta(seconds=1))
    print(f"\n{'the event log':<36}{'entries':>10}{'seconds':>10}{'a second':>10}{'drains':>10}{'RSS, MB':>10}")
    print(f"{'written, each confirmed':<36}{count:>10}{took:>10.1f}{count / took:>10.0f}")
    for name, row in (("read and folded", everything), (f"the newest {LATELY} only", lately)):
        rate = row.entries / row.seconds
        print(f"{name:<36}{row.entries:>10}{row.seconds:>10.1f}{rate:>10.0f}{row.drains:>10}{row.megabytes:>10.0f}")
    print(f"({everything.forgotten} older drains forgotten; targets: {MOST_MEGABYTES} MB; the newest without the rest)")
    whole = everything.entries >= count + LATELY
    return whole and LATELY <= lately.entries < LATELY + count // 10 and everything.megabytes <= MOST_MEGABYTES


async def _write(outbox: RabbitOutbox, numbers: range) -> None:
    for begin in range(numbers.start, numbers.stop, TOGETHER):
        await asyncio.gather(*(_publish(outbox, number) for number in numbers[begin - numbers.start :][:TOGETHER]))


async def _publish(outbox: RabbitOutbox, number: int) -> None:
    drain, step = divmod(number, len(STORY))
    command, outcome = _command(drain), STORY[step]
    if outcome is Outcome.requested:
        await outbox.record(make_event(command, outcome, datetime.now(UTC), published_at=datetime.now(UTC)))
        return
    shown = readings(*(an_instance() for _ in NODES[:2]))
    await outbox.record(make_event(command, outcome, datetime.now(UTC), target=a_target(id=f"i-{drain}"), nodes=shown))


def _command(number: int) -> DrainCommand:
    pod = terminating(a_pod(f"uid-{number}", name=f"orders-{number}", ip=f"10.{number >> 16}.{number >> 8 & 255}.1"))
    return a_command(pod, drain_id=f"bench{number:011}")


async def _read_apart(url: str, look_back: timedelta) -> Read:
    words = [sys.executable, "-m", "tests.bench.history", str(look_back.total_seconds())]
    # Our own environment would bring settings along; the URL is a secret, and so does not stand in a process list.
    env = {name: value for name, value in os.environ.items() if not name.startswith("EUREKA_DRAIN_")}
    process = await asyncio.create_subprocess_exec(
        *words, env={**env, "BENCH_BROKER": url}, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return Read(**json.loads(output))


async def _read(url: str, look_back: timedelta) -> Read:
    settings = Settings(broker=BrokerSettings(url=SecretUrl(url)))
    history = DrainIndex()
    log = event_log(settings, look_back=look_back)
    log.readers.append(history.apply)
    begun = time.monotonic()
    async with beside(log.link.run):
        await read_log(log)
        took = time.monotonic() - begun
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Read(
        entries=log.entries_read, drains=len(history), forgotten=history.forgotten, seconds=took, megabytes=most
    )


if __name__ == "__main__":
    logger.disable("controller")
    look_rarely()  # as every command does
    print(json.dumps(asdict(uvloop.run(_read(os.environ["BENCH_BROKER"], timedelta(seconds=float(sys.argv[1])))))))
