"""`make headline`: what rolling restarts cost the callers, four ways side by side on one stack of real servers.

A real Deployment controller rolls five instances of a Spring Boot service, again and again, while a Spring Cloud
LoadBalancer client calls them 50 times a second: with no hook at all; with the copied `curl …; sleep 30`; with
eureka-drain and the injected window, all caches stock; and the same with tuned caches and their shorter window.

Order of events: the stack, the policy, the services, the controller, the callers; every caller is answered by all five
instances; then round after round (rounds.py); then the table. Progress goes to stderr, the table to stdout. Exit: 0
ours lost nothing, 1 it did or a part failed (the table is printed still), 128 + n by a signal.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.demo.signals import Signals, seen_through
from tests.headline import eureka_load, report, rounds, scene, table
from tests.headline.judged import misjudged, verdicts
from tests.headline.variants import SERVER_SETTINGS, STOCK, TUNED
from tests.stack.prerequisites import CURL, ReportProgress, require
from tests.stack.stack import Stack, report_on_stderr


async def measure(chosen: argparse.Namespace, signals: Signals, report_progress: ReportProgress) -> int:
    """Return the exit code."""
    # What people's images have for the hook, and their pods are local processes here.
    await require(CURL, report_progress=report_progress)
    async with AsyncExitStack() as opened:
        stack = Stack(
            regions={STOCK: 2, TUNED: 2},
            broker=True,
            cluster=True,
            eureka_settings=eureka_load.ACCESS_LOG,
            settings_of_regions=SERVER_SETTINGS,
            report_progress=report_progress,
        )
        await opened.enter_async_context(stack)
        opened.callback(signals.ignore)
        trial = await scene.set_up(opened, stack, report_progress)
        problems = await rounds.roll_all(trial, chosen.rollouts, random.Random(chosen.seed))
        columns, load, judged = trial.figures(), report.load_of(trial), await verdicts(trial)
        problems += [problem for figures in columns for problem in figures.problems]
        problems += misjudged(columns, judged)
        if trial.observer.unanswered:
            problems.append(f"{trial.observer.unanswered} readings of Eureka failed: a change may have been missed")
        if chosen.json:
            chosen.json.write_text(report.as_json(trial, columns, load, judged, problems, chosen.seed))
        print(*table.lines(columns, load, judged), sep="\n")
        for problem in problems:
            print(f"wrong: {problem}")
        sys.stdout.flush()
    return 1 if problems else 0


async def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="make headline", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=5, help="of each variant")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000), help="of the order and the waits")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, rollout by rollout")
    chosen = parser.parse_args()
    report_progress = report_on_stderr()
    first = f"about 2 minutes, and 3 to 4 more for each round; seed {chosen.seed}"
    return await seen_through(lambda signals: measure(chosen, signals, report_progress), report_progress, first=first)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
