"""Looks at every instance at every node, past the proxies and past every cache, as often as it can.

A node that was restarted has lost its memory: that it does not know a living instance harms nobody, until it has known
it again. A node that does not answer says nothing, for or against.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.faults.population import Subject
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.registry_client import UNREACHABLE, RegistryClient
from tests.stack.waiting import until

PATIENCE = 1.0
AT_ONCE = 32


class Seen(StrEnum):
    """What one node says of one instance."""

    up = "UP"
    out = "out"
    absent = "absent"
    silent = "no answer"
    odd = "odd"


@dataclass(frozen=True)
class Sample:
    """One instance at one moment (time.monotonic()), node by node."""

    at: float
    seen: tuple[Seen, ...]
    shown: tuple[str, ...]

    @property
    def is_out(self) -> bool:
        """Whether every node answered, and none gives it to a client."""
        return all(seen in (Seen.out, Seen.absent) for seen in self.seen)

    @property
    def serves(self) -> bool:
        """Whether any node gives it to a client."""
        return any(seen in (Seen.up, Seen.odd) for seen in self.seen)


@dataclass
class Course:
    """Everything seen of one subject; of those that live, what harmed them."""

    subject: Subject
    samples: list[Sample] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)

    def is_out_since(self, begin: float) -> float | None:
        """The time of the first sample after `begin` from which on it was out everywhere; None while it is not."""
        since = None
        for sample in self.samples:
            if sample.at < begin:
                continue
            if not sample.is_out:
                since = None
            elif since is None:
                since = sample.at
        return since

    def came_back(self, begin: float) -> list[Sample]:
        """Samples that show it serving after it had been out everywhere."""
        since = next((sample.at for sample in self.samples if sample.at >= begin and sample.is_out), None)
        return [] if since is None else [sample for sample in self.samples if sample.at > since and sample.serves]


class Sampler:
    """Samples the subjects that `subjects` names at each round, whose number it is given."""

    def __init__(
        self, eureka: EurekaNodes, subjects: Callable[[int], Iterable[Subject]], *, interval: float = 0.3
    ) -> None:
        self.courses: dict[str, Course] = {}
        self.rounds = 0
        self._subjects = subjects
        self._interval = interval
        self._nodes = [RegistryClient(url) for url in eureka.urls]
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._known: set[tuple[int, str]] = set()
        """Which node has shown which living instance since it started."""

    def course(self, subject: Subject) -> Course:
        """What was seen of it so far."""
        return self.courses.setdefault(subject.uid, Course(subject))

    def forgets(self, node: int) -> None:
        """Note that this node loses its memory now."""
        self._known = {(number, uid) for number, uid in self._known if number != node}

    async def next_round(self) -> None:
        """Wait for a complete round that begins after now."""
        wanted = self.rounds + 2
        await until(lambda: self.rounds >= wanted, "a round of samples")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sample until the end of the context."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for node in self._nodes:
                await node.close()

    async def _run(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.gather(*(self._sample(subject) for subject in self._subjects(self.rounds)))
            self.rounds += 1
            await asyncio.sleep(max(0.02, self._interval - (time.monotonic() - begun)))

    async def _sample(self, subject: Subject) -> None:
        at = time.monotonic()
        answers = await asyncio.gather(*(self._ask(node, subject) for node in self._nodes))
        sample = Sample(at, tuple(seen for seen, _ in answers), tuple(shown for _, shown in answers))
        course = self.course(subject)
        course.samples.append(sample)
        # Also when its deletion was asked for while the nodes were being asked.
        if subject.deleted_at is None:
            self._judge_living(course, sample)

    def _judge_living(self, course: Course, sample: Sample) -> None:
        for number, (seen, shown) in enumerate(zip(sample.seen, sample.shown, strict=True)):
            key = (number, course.subject.uid)
            if seen is Seen.up:
                self._known.add(key)
            elif seen in (Seen.out, Seen.odd) or (seen is Seen.absent and key in self._known):
                course.harm.append(f"{course.subject.name} at node {number}: {shown}, at {sample.at:.1f}")

    async def _ask(self, node: RegistryClient, subject: Subject) -> tuple[Seen, str]:
        async with self._slots:
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await node.get(subject.app, subject.instance_id)
            except UNREACHABLE as error:
                return Seen.silent, type(error).__name__
        return _read(found)


def _read(found: dict[str, Any] | None) -> tuple[Seen, str]:
    if found is None:
        return Seen.absent, "absent"
    status, override = found["status"], found.get("overriddenStatus", found.get("overriddenstatus", "?"))
    shown = f"{status} (override {override})"
    if status == "OUT_OF_SERVICE":
        return Seen.out, shown
    return (Seen.up if (status, override) == ("UP", "UNKNOWN") else Seen.odd), shown
