"""The command line: a few lines a command. Exit status: 0 done, 1 something is wrong, 2 bad usage or bad settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from controller.errors import SettingsError
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
