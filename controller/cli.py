"""The command line: a few lines a command. Exit status: 0 done, 1 something is wrong, 2 bad usage or bad settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.errors import SettingsError

if TYPE_CHECKING:  # a help text is not worth the import of everything
    from controller.domain.selection import Selection
    from controller.settings import Settings

app = typer.Typer(
    name="eureka-drain",
    help="Takes terminating Kubernetes pods out of Eureka before their clients call them in vain.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file (YAML); before or after the command.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting, for example http.port=9090. Repeatable."),
]


@app.callback()
def common(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Takes terminating Kubernetes pods out of Eureka before their clients call them in vain."""
    context.obj = (config, assignments or [])


@app.command()
def run(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Run all roles in one process."""
    _start(context, config, assignments, lambda settings: (True, list(settings.regions)))


@app.command()
def watch(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Watch pods and publish drain commands. Any number of replicas may run at once."""
    _start(context, config, assignments, lambda _: (True, []))


@app.command()
def work(
    context: typer.Context,
    region: Annotated[list[str], typer.Option("--region", metavar="NAME", help="A region to work for. Repeatable.")],
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Consume the commands of regions. Any number of replicas may run at once."""
    _start(context, config, assignments, lambda _: (False, list(dict.fromkeys(region))))


@app.command()
def sweep(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look and report, whatever sweep.policy says.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Find what is in Eureka without a living pod behind it, in one pass of 35 to 70 s; report or drain it.

    sweep.policy decides: report (the default) changes nothing; drain sends a drain for each finding. An instance counts
    only when the event log or sweep.pod_cidrs says that it was this cluster's, and when it has not heartbeat meanwhile.
    """
    from controller.app.sweeping import sweep as run_one_pass
    from controller.logs import configure

    settings = _load(context, config, assignments)
    configure(settings.log)
    raise typer.Exit(run_one_pass(settings, dry_run=dry_run))


class Output(StrEnum):
    """How the answer is written."""

    table = "table"
    json = "json"


Since = Annotated[
    str, typer.Option(metavar="AGO|TIME", help="Not before: 2h, 30m, 7d ago, or a time such as 2026-01-31T22:00:00Z.")
]
Until = Annotated[str, typer.Option(metavar="AGO|TIME", help="Not after.")]
RegionFilter = Annotated[str, typer.Option("--region", metavar="NAME", help="Of this region.")]
AppFilter = Annotated[str, typer.Option("--app", metavar="NAME", help="Of this Eureka application.")]
NamespaceFilter = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Of this namespace.")]
PodFilter = Annotated[str, typer.Option("--pod", metavar="NS/NAME", help="Of this pod; * stands for anything.")]
StateFilter = Annotated[
    list[str] | None, typer.Option("--state", metavar="STATE", help="In this state, e.g. failed. Repeatable.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="json: one object a line, names in full.")]


DRAINS_EXAMPLES = """\b
Examples:
  eureka-drain drains --since 30m --state failed --state requested
  eureka-drain drains --pod 'shop/orders-*' --follow
  eureka-drain drains --since 1d -o json | jq -r 'select(.seconds_to_out_of_service > 5) | .pod'
"""


@app.command(epilog=DRAINS_EXAMPLES)
def drains(
    context: typer.Context,
    since: Since = "2h",
    until: Until = "",
    region: RegionFilter = "",
    app_name: AppFilter = "",
    namespace: NamespaceFilter = "",
    pod: PodFilter = "",
    state: StateFilter = None,
    output: OutputOption = Output.table,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Show what happened, from the event log, the newest last."""
    from controller.app.looking import drains as show_drains

    settings = _prepare(context, config, assignments)
    selection = _selection(
        since=since, until=until, region=region, app=app_name, namespace=namespace, pod=pod, states=state or ()
    )
    raise typer.Exit(show_drains(settings, selection, as_json=output is Output.json, follow=follow))


@app.command(epilog="\b\nExample:\n  eureka-drain show u4ogxdsnands54l3")
def show(
    context: typer.Context,
    drain_id: Annotated[str, typer.Argument(metavar="DRAIN_ID", help="As drains shows it.")],
    output: OutputOption = Output.table,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Show one drain's timeline: seen, published, consumed, out of service at which node, deleted."""
    from controller.app.looking import show as show_drain

    settings = _prepare(context, config, assignments)
    raise typer.Exit(show_drain(settings, drain_id, as_json=output is Output.json))


@app.command("config")
def show_config(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Print the settings in force, secrets masked."""
    import yaml

    settings = _load(context, config, assignments)
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), nl=False)


def _load(context: typer.Context, config: Path | None, assignments: list[str] | None) -> Settings:
    from controller.settings_sources import load

    earlier_config, earlier_assignments = context.obj
    return load(config or earlier_config, assignments=[*earlier_assignments, *(assignments or [])])


def _selection(**filters: Any) -> Selection:
    from datetime import UTC, datetime

    from controller.domain.selection import SelectionError, select

    try:
        return select(now=datetime.now(UTC), **filters)
    except SelectionError as error:
        raise SettingsError([f"--{error}"]) from None


def _prepare(context: typer.Context, config: Path | None, assignments: list[str] | None) -> Settings:
    """Settings and logs of a command that a person waits for."""
    from controller.logs import configure

    settings = _load(context, config, assignments)
    configure(settings.log, quiet=True)
    return settings


def _start(
    context: typer.Context,
    config: Path | None,
    assignments: list[str] | None,
    roles: Callable[[Settings], tuple[bool, list[str]]],
) -> None:
    from controller.app.roles import start
    from controller.logs import configure

    settings = _load(context, config, assignments)
    configure(settings.log)
    watching, regions = roles(settings)
    raise typer.Exit(start(settings, watch=watching, work=regions))


def main() -> None:
    """The entry point: one line a mistake on stderr, and no traceback."""
    try:
        app()
    except SettingsError as error:
        for problem in error.problems:
            print(f"eureka-drain: {problem}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
