"""The restart as people see it: a table that lives on a terminal, else one line for each change of a status.

Both go to stderr: stdout is for the result. Times are seconds since the deletion of the instance's pod, as record.py
has them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.demo.record import ABSENT, GONE, OUT_OF_SERVICE, Instance, Record
from tests.stack.prerequisites import ReportProgress
from tests.stack.timeline import now

DRAW_SECONDS = 0.2
_STYLES = {"UP": "green", OUT_OF_SERVICE: "yellow", GONE: "dim", ABSENT: "dim", "STARTING": "cyan"}


class View(Protocol):
    """What the sampler reports."""

    def changed(self, instance: Instance, node: str) -> None: ...


class Lines:
    """One line a change."""

    def __init__(self, report_progress: ReportProgress) -> None:
        self._report_progress = report_progress

    def changed(self, instance: Instance, node: str) -> None:
        age, since = "old" if instance.old else "new", _since(instance, node).lstrip("+")
        after = f", {since} s after its pod's deletion" if since else ""
        self._report_progress(f"{age} {instance.id} at {node}: {instance.status(node)}{after}")


class LiveTable:
    """Drawn anew several times a second from the record itself."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._begun = time.monotonic()

    def changed(self, instance: Instance, node: str) -> None:
        """Nothing to do: the next drawing shows it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # 80 columns at most: it must fit the smallest terminal.
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(f"{time.monotonic() - self._begun:.0f} s", no_wrap=True, min_width=21)
        for node in self._record.nodes:
            table.add_column(f"at {node}", no_wrap=True, min_width=20)
        table.add_column("its pod", no_wrap=True, min_width=12)
        for title, instances in (("old instances", self._record.old), ("new instances", self._record.new)):
            table.add_row(Text(title, style="bold"))
            for one in instances:
                name = f"{one.app} {one.id.partition(':')[0]}"
                table.add_row(name, *(_cell(one, node) for node in self._record.nodes), _pod(one))
        yield table
        yield Text("+ seconds since the deletion of its pod", style="dim")


@asynccontextmanager
async def view_of(record: Record, report_progress: ReportProgress) -> AsyncIterator[View]:
    """The one that suits where stderr goes."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(report_progress)
        return
    table = LiveTable(record)
    # Drawn by a task: rich's own drawing thread and a line printed meanwhile would leave half a table behind.
    with Live(table, console=console, auto_refresh=False) as live:
        drawing = asyncio.create_task(_draw(live))
        try:
            yield table
        finally:
            drawing.cancel()


async def _draw(live: Live) -> None:
    while True:
        live.refresh()
        await asyncio.sleep(DRAW_SECONDS)


def _cell(instance: Instance, node: str) -> Text:
    status, out_at = instance.status(node), instance.first(node, OUT_OF_SERVICE)
    if status == GONE and out_at is not None and (seconds := instance.since_deletion(out_at)) is not None:
        return Text.assemble((f"out +{max(0.0, seconds):.1f}", "yellow"), f", gone {_since(instance, node)}")
    return Text.assemble((status, _STYLES.get(status, "red")), f" {_since(instance, node)}")


def _since(instance: Instance, node: str) -> str:
    """How long after the deletion the node's status came; nothing for one that came before."""
    changes = instance.changes.get(node)
    seconds = instance.since_deletion(changes[-1].at) if changes else None
    return "" if seconds is None or seconds < -1 else f"+{max(0.0, seconds):.1f}"


def _pod(instance: Instance) -> str:
    """What became of it last."""
    for what, at in (("ended", instance.exited_at), ("SIGTERM", instance.sigterm_at), ("deleted", now())):
        if at is not None and (seconds := instance.since_deletion(at)) is not None:
            return f"{what} +{seconds:.1f}"
    return "running"
