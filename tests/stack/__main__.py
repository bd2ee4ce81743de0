"""`python -m tests.stack`: start everything, say how to look around, end it at Ctrl-C."""

import argparse
import asyncio
import signal
import sys

from tests.stack.parts import eureka_jars
from tests.stack.prerequisites import MissingPrerequisiteError
from tests.stack.processes import ProcessError
from tests.stack.stack import Stack, report_on_stderr


async def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.stack", description=__doc__)
    parser.add_argument("--region", action="append", metavar="NAME=NODES", help="default: eu=2; may be repeated")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and data at the end")
    chosen = parser.parse_args()
    regions = {name: int(nodes) for name, _, nodes in (one.partition("=") for one in chosen.region or ["eu=2"])}
    # SIGINT explicitly, too: a shell starts a background job with it ignored, and then nobody could end it in order.
    task = asyncio.current_task()
    assert task is not None
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
    report_progress = report_on_stderr()
    stack = Stack(
        regions=regions, broker=True, cluster=True, management=True, keep=chosen.keep, report_progress=report_progress
    )
    try:
        async with stack:
            await _show(stack)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        report_progress("stopped, nothing left behind" if not chosen.keep else "stopped")
        return 0
    except (MissingPrerequisiteError, ProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _show(stack: Stack) -> None:
    jar = await eureka_jars(lambda _: None) / "service-1.jar"
    lines = [
        "",
        f"export KUBECONFIG={stack.cluster.kubeconfig}",
        f"RabbitMQ     {stack.broker.url}   pages: {stack.broker.management_url} (guest/guest)",
        *(
            f"Eureka {region:5} {url}   page: {url.removesuffix('/eureka')}/"
            for region, nodes in stack.eureka.items()
            for url in nodes.urls
        ),
        f"pods' logs   {stack.cluster.node.folder}",
        f"a service    {jar}",
        "",
        "Ctrl-C ends it.",
    ]
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
