"""`python -m tests.demo`: pods are restarted on real servers while the controller drains them. KEEP=1 leaves it on.

Order of events: the stack starts, the apps start and are served to callers, the controller starts, `kubectl rollout
restart`; both registries are read all the while, until every old instance is gone and every new one is UP; the table.
Progress and the live view go to stderr, the table to stdout. Exit: 0 all is well, 1 something is wrong, 128 + n by a
signal.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

from tests.demo import result, scene
from tests.demo.record import Record
from tests.demo.sampling import Sampler
from tests.demo.signals import Signals, seen_through
from tests.demo.verdict import is_gone, judge
from tests.demo.view import view_of
from tests.stack import parts
from tests.stack.controller_process import ControllerProcess
from tests.stack.prerequisites import ReportProgress
from tests.stack.stack import Stack, report_on_stderr

RETENTION = "5s"
#: The restart goes pod by pod: a few seconds for each new one's start, then some 20 s for the last old one to go.
LONGEST_SECONDS = 180
#: A deleted instance may come back by replication within this time.
SETTLE_SECONDS = 3

EXPECTED = {app.name: app.replicas for app in scene.APPS.values()}


async def run(signals: Signals, report_progress: ReportProgress, *, keep: bool) -> int:
    """Return the exit code."""
    async with AsyncExitStack() as opened:
        stack = Stack(regions={"eu": 2}, broker=True, cluster=True, management=keep, report_progress=report_progress)
        await opened.enter_async_context(stack)
        opened.callback(signals.ignore)
        eureka = stack.eureka["eu"]
        report_progress("orders: starting 3 pods, which say goodbye to Eureka when they end")
        report_progress("payments: starting 2 pods, which end without a word")
        await scene.deploy(stack.cluster, eureka, await parts.sample_service(report_progress))
        await scene.registered(stack.cluster, eureka, report_progress)
        report_progress("controller: starting")
        controller = ControllerProcess(
            "run",
            log=stack.folder / "controller.log",
            broker=stack.broker.url,
            regions={"eu": eureka.urls},
            kubeconfig=stack.cluster.kubeconfig,
            settings={"retention": RETENTION},
        )
        opened.push_async_callback(controller.stop)
        await controller.start()
        report_progress("controller: ready")
        record = Record(tuple(node.name for node in eureka.nodes))
        report_progress(f"$ kubectl {' '.join(scene.RESTART)}")
        async with (
            view_of(record, report_progress) as view,
            Sampler(stack.cluster, eureka, scene.APPS, record, view.changed).running(),
        ):
            await scene.restart(stack.cluster)
            await _until_over(record, controller)
        code = _conclude(record, controller)
        if keep:
            print(result.directions(stack, controller), flush=True)
            await signals.wait()
        return code


async def _until_over(record: Record, controller: ControllerProcess) -> None:
    """Until all old instances are gone and stay gone and all new ones are there, or it takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LONGEST_SECONDS
    over_since: float | None = None
    while loop.time() < deadline and controller.running:
        if not _is_over(record):
            over_since = None
        elif over_since is None:
            over_since = loop.time()
        elif loop.time() - over_since > SETTLE_SECONDS:
            return
        await asyncio.sleep(0.2)


def _is_over(record: Record) -> bool:
    return (
        len(record.new) == sum(EXPECTED.values())
        and all(is_gone(one, record.nodes) for one in record.old)
        and all(one.status(node) == "UP" for one in record.new for node in record.nodes)
    )


def _conclude(record: Record, controller: ControllerProcess) -> int:
    verdict = judge(record, EXPECTED, lease_seconds=scene.LEASE_SECONDS)
    problems = list(verdict.problems)
    if not controller.running:
        # All else is its consequence.
        problems = [f"the controller ended by itself with {controller.returncode}{controller.tail()}"]
    if record.unanswered:
        problems.append(f"{record.unanswered} readings failed: a change may have been missed")
    result.show(verdict, record, problems)
    return 1 if problems else 0


async def main() -> int:
    """Return the exit code."""
    report_progress, keep = report_on_stderr(), os.environ.get("KEEP", "") not in ("", "0")
    first = "1 to 2 minutes, and about 5 more for the builds of a first run"
    return await seen_through(lambda signals: run(signals, report_progress, keep=keep), report_progress, first=first)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
