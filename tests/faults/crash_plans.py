"""Which plans there are, how they are run, and what became of them.

A reference run of each workload gives its side effects in order; each gives two plans. Two runs are not the same byte
by byte, so a plan names its side effect by process, kind and ordinal; one that does not come up is `not reached`, and
that is never a success.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.crash_endings import Ending
from tests.faults.crash_scene import running, scene
from tests.faults.crash_servers import Servers, messages_in
from tests.faults.crash_workloads import FIRST_SETTINGS, WORKLOADS
from tests.faults.recording import Moment, Step, Trigger
from tests.stack.processes import ProcessError
from tests.stack.waiting import NeverHappenedError

AT_ONCE = int(os.environ.get("FAULTS_AT_ONCE", "8"))
"""Plans that are run at the same time. Most of a plan's time is the product's own waiting."""
TELLING = {
    "rollout": (
        Trigger(Step("watch", "publish drain.commands drain.command", 1), Moment.before),
        Trigger(Step("work", "DELETE … at node a", 1), Moment.after),
        Trigger(Step("work", "publish drain.events removed", 1), Moment.after),
    ),
    "stateful": (
        Trigger(Step("work", "PUT …/status?value=OUT_OF_SERVICE at node a", 1), Moment.after),
        Trigger(Step("work", "ack drain.commands", 1), Moment.before),
        Trigger(Step("work", "DELETE …/status?value=UP at node a", 1), Moment.after),
    ),
    "replay": (
        Trigger(Step("work", "publish drain.events out_of_service", 1), Moment.after),
        Trigger(Step("work", "publish drain.commands drain.command → delete", 1), Moment.before),
    ),
}
"""What is tried when not everything is."""


@dataclass
class Reference:
    """A run without a crash."""

    workload: str
    steps: list[Step] = field(default_factory=list)
    ending: Ending = field(default_factory=Ending)
    seconds: float = 0

    def triggers(self) -> list[Trigger]:
        """Before and after every side effect."""
        return [Trigger(step, moment) for step in self.steps for moment in Moment]


@dataclass
class Played:
    """One plan, run."""

    workload: str
    trigger: Trigger
    folder: Path
    reached: bool = False
    ending: Ending = field(default_factory=Ending)
    differences: list[str] = field(default_factory=list)
    record: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def converged(self) -> bool:
        return self.reached and not self.differences


@dataclass
class Report:
    """Everything that was run."""

    references: dict[str, Reference] = field(default_factory=dict)
    played: list[Played] = field(default_factory=list)

    def of(self, workload: str) -> list[Played]:
        """One workload's plans."""
        return [one for one in self.played if one.workload == workload]

    def table(self) -> str:
        """For people."""
        lines = [
            f"{'workload':<10} {'plans':>6} {'reached':>8} {'converged':>10} {'not converged':>14} {'not reached':>12}"
        ]
        lines += [_row(workload, self.of(workload)) for workload in self.references]
        lines.append(_row("all", self.played))
        for one in self.played:
            if one.reached and not one.converged:
                lines.append(f"\n{one.workload}, {one.trigger}: not converged ({one.folder})")
                lines += [f"    {difference}" for difference in one.differences]
                lines += [f"        {line}" for line in one.record]
        missed = [one for one in self.played if not one.reached]
        lines += [f"\n{one.workload}, {one.trigger}: not reached" for one in missed]
        return "\n".join(lines)


def _row(name: str, played: Sequence[Played]) -> str:
    reached = [one for one in played if one.reached]
    converged = sum(one.converged for one in reached)
    missed = len(played) - len(reached)
    counts = f"{len(played):>6} {len(reached):>8} {converged:>10} {len(reached) - converged:>14} {missed:>12}"
    return f"{name:<10} {counts}"


async def run_plans(
    servers: Servers,
    folder: Path,
    workloads: Sequence[str],
    *,
    everything: bool,
    report_progress: Callable[[str], None],
) -> Report:
    """The references, then every plan; those that cover most need not wait for them. Report one line for each."""
    report = Report()
    unrouted = await messages_in(servers.broker, "drain.unrouted")
    slots = asyncio.Semaphore(AT_ONCE)

    async def refer(workload: str) -> Reference:
        async with slots:
            reference = await _refer(servers, folder / workload / "reference", workload, unrouted)
        kinds = ", ".join(f"{count}× {kind}" for kind, count in _kinds(reference.steps).items())
        report_progress(f"{workload}: reference in {reference.seconds:.0f} s: {reference.ending}; {kinds}")
        return reference

    async def play(number: int, workload: str, trigger: Trigger) -> Played:
        async with slots:
            one = await _play(servers, folder / workload / f"{number:03}", workload, trigger, unrouted)
        reference = await references[workload]
        one.differences += one.ending.differences(reference.ending)
        what = "converged" if one.converged else "NOT CONVERGED" if one.reached else "not reached"
        report_progress(f"{workload} {number:03}: {trigger}: {what}, {one.seconds:.0f} s")
        for difference in one.differences:
            report_progress(f"    {difference}")
        return one

    async with asyncio.TaskGroup() as tasks:
        references = {workload: tasks.create_task(refer(workload)) for workload in workloads}
        if everything:
            await asyncio.wait(references.values())
        playing = [
            tasks.create_task(play(number, workload, trigger))
            for workload, referring in references.items()
            for number, trigger in enumerate(referring.result().triggers() if everything else TELLING[workload])
        ]
    report.references = {workload: task.result() for workload, task in references.items()}
    report.played = [task.result() for task in playing]
    return report


async def _refer(servers: Servers, folder: Path, workload: str, unrouted: int) -> Reference:
    begun = time.monotonic()
    reference = Reference(workload)
    async with scene(servers, folder, None) as found:
        found.process("work", "work", "--region", found.region, settings=FIRST_SETTINGS.get(workload))
        try:
            async with running(found):
                await WORKLOADS[workload](found)
        except (NeverHappenedError, ProcessError) as error:
            found.recorder.trouble.append(str(error))
        finally:
            found.write_down()
        for process in found.processes.values():
            await process.stop()
        reference.steps = list(found.recorder.steps)
        reference.ending = await found.ending(unrouted)
    reference.seconds = time.monotonic() - begun
    return reference


async def _play(servers: Servers, folder: Path, workload: str, trigger: Trigger, unrouted: int) -> Played:
    begun = time.monotonic()
    played = Played(workload, trigger, folder)
    async with scene(servers, folder, trigger) as found:
        found.process("work", "work", "--region", found.region, settings=FIRST_SETTINGS.get(workload))
        try:
            async with running(found):
                await WORKLOADS[workload](found)
        except (NeverHappenedError, ProcessError) as error:
            played.differences.append(str(error))
        finally:
            found.write_down()
        for process in found.processes.values():
            await process.stop()
        played.record = found.record()
        played.reached = found.recorder.fired.is_set()
        played.ending = await found.ending(unrouted)
    played.seconds = time.monotonic() - begun
    return played


def _kinds(steps: Sequence[Step]) -> Counter[str]:
    return Counter(f"{step.process}: {step.kind}" for step in steps)
