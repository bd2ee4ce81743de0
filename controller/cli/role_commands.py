"""Processes that stay: run, watch, work, ops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.options import Assignments, ConfigFile
from controller.cli.requests import sources_of

if TYPE_CHECKING:  # a help text is not worth the import of everything
    from controller.settings import Settings

app = typer.Typer()


@app.command()
def run(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Run all roles in one process."""
    begin(context, config, assignments, watch=True, work=lambda settings: list(settings.regions), ops=True)


@app.command()
def watch(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Watch pods and publish drain commands. Any number of replicas may run at once."""
    begin(context, config, assignments, watch=True)


@app.command()
def work(
    context: typer.Context,
    region: Annotated[list[str], typer.Option("--region", metavar="NAME", help="A region to work for. Repeatable.")],
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Consume the commands of regions. Any number of replicas may run at once."""
    begin(context, config, assignments, work=lambda _: list(dict.fromkeys(region)))


@app.command()
def ops(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Serve the page and the HTTP API. Any number of replicas may run at once."""
    begin(context, config, assignments, ops=True)


def begin(
    context: typer.Context,
    config: Path | None,
    assignments: list[str] | None,
    *,
    watch: bool = False,
    work: Callable[[Settings], list[str]] = lambda _: [],
    ops: bool = False,
) -> None:
    """Run these roles until a signal."""
    from controller import tracing
    from controller.app.roles import start
    from controller.logs import configure

    sources = sources_of(context, config, assignments)
    settings = sources.load()
    configure(settings.log)
    tracing.configure(settings.tracing.endpoint)
    raise typer.Exit(start(settings, sources, watch=watch, work=work(settings), ops=ops))
