"""Processes that run until a signal: run, watch, work, ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.call import Call, command

if TYPE_CHECKING:  # a help text is not worth the import of everything
    from controller.settings import Settings

app = typer.Typer()


@command(app)
def run(call: Call) -> None:
    """Run all roles in one process."""
    begin(call, watch=True, work=lambda settings: list(settings.regions), ops=True)


@command(app)
def watch(call: Call) -> None:
    """Watch pods and publish drain commands. Any number of replicas may run at once."""
    begin(call, watch=True)


@command(app)
def work(
    call: Call,
    region: Annotated[list[str], typer.Option("--region", metavar="NAME", help="A region to work for. Repeatable.")],
) -> None:
    """Consume the commands of regions. Any number of replicas may run at once."""
    begin(call, work=lambda _: list(dict.fromkeys(region)))


@command(app)
def ops(call: Call) -> None:
    """Serve the page and the HTTP API. Any number of replicas may run at once."""
    begin(call, ops=True)


def begin(
    call: Call, *, watch: bool = False, work: Callable[[Settings], list[str]] = lambda _: [], ops: bool = False
) -> None:
    """Run these roles until a signal."""
    from controller import tracing
    from controller.app.process import start
    from controller.logs import configure

    settings = call.load()
    configure(settings.log)
    tracing.configure(settings.tracing.endpoint)
    raise typer.Exit(start(settings, call.sources, watch=watch, work=work(settings), ops=ops))
