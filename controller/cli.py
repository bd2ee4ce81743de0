"""The command line: a few lines a command. Exit status: 0 done, 1 something is wrong, 2 bad usage or bad settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.errors import SettingsError

if TYPE_CHECKING:  # a help text is not worth the import of everything
    from controller.domain.replay import Asker
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
    _start(context, config, assignments, watch=True, work=lambda settings: list(settings.regions), ops=True)


@app.command()
def watch(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Watch pods and publish drain commands. Any number of replicas may run at once."""
    _start(context, config, assignments, watch=True)


@app.command()
def work(
    context: typer.Context,
    region: Annotated[list[str], typer.Option("--region", metavar="NAME", help="A region to work for. Repeatable.")],
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Consume the commands of regions. Any number of replicas may run at once."""
    _start(context, config, assignments, work=lambda _: list(dict.fromkeys(region)))


@app.command()
def ops(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Serve the page and the HTTP API. Any number of replicas may run at once."""
    _start(context, config, assignments, ops=True)


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
IdFilter = Annotated[list[str] | None, typer.Option("--id", metavar="DRAIN_ID", help="This drain. Repeatable.")]
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


REPLAY_EXAMPLES = """\b
Examples:
  eureka-drain replay --since 1h --state failed             the plan; nothing changes
  eureka-drain replay --since 1h --state failed --yes --reason INC-4711
  eureka-drain replay --id u4ogxdsnands54l3 --yes
  eureka-drain replay --dead --region eu --yes --rps 10
"""


@app.command(epilog=REPLAY_EXAMPLES)
def replay(
    context: typer.Context,
    since: Since = "",
    until: Until = "",
    region: RegionFilter = "",
    app_name: AppFilter = "",
    namespace: NamespaceFilter = "",
    pod: PodFilter = "",
    state: StateFilter = None,
    drain_id: IdFilter = None,
    dead: Annotated[bool, typer.Option("--dead", help="The dead letters, instead of the event log.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what a worker still has under way.")] = False,
    rps: Annotated[float, typer.Option("--rps", min=0.01, max=10_000, help="Drains to send in a second.")] = 50.0,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the event log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Execute the plan.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Drain again what is still in service: prints the plan; with --yes executes it and waits for the outcomes.

    Chosen by the filters, from the last 2 hours unless --since or --id says otherwise. Exit status 1 when something
    chosen is in the end neither out of service nor gone.
    """
    from controller.app.replaying import Wish
    from controller.app.replaying import replay as run_replay

    settings = _prepare(context, config, assignments)
    selection = _selection(
        since=since or ("" if drain_id or dead else "2h"),
        until=until,
        region=region,
        app=app_name,
        namespace=namespace,
        pod=pod,
        states=state or (),
        ids=drain_id or (),
    )
    wish = Wish(selection=selection, asker=_asker(reason), dead=dead, again=again, yes=yes, a_second=rps)
    raise typer.Exit(run_replay(settings, wish))


class Action(StrEnum):
    """What to do with dead letters."""

    list = "list"
    requeue = "requeue"
    drop = "drop"


DEAD_EXAMPLES = """\b
Examples:
  eureka-drain dead                                   every region's, with their reasons
  eureka-drain dead requeue --region eu               send them again, once what was wrong is mended
  eureka-drain dead drop --id u4ogxdsnands54l3 --yes
"""


@app.command(epilog=DEAD_EXAMPLES)
def dead(
    context: typer.Context,
    action: Annotated[Action, typer.Argument(help="drop needs --yes.")] = Action.list,
    region: RegionFilter = "",
    app_name: AppFilter = "",
    namespace: NamespaceFilter = "",
    pod: PodFilter = "",
    drain_id: IdFilter = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the event log.")] = "",
    output: OutputOption = Output.table,
    yes: Annotated[bool, typer.Option("--yes", help="Drop for good what the filters choose.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """The dead letters of each region: what was given up, and why. List them, send them again, or drop them."""
    from controller.app.dead_letters import Wish
    from controller.app.dead_letters import dead as run_dead

    settings = _prepare(context, config, assignments)
    selection = _selection(region=region, app=app_name, namespace=namespace, pod=pod, ids=drain_id or ())
    wish = Wish(selection=selection, asker=_asker(reason), action=action.value, as_json=output is Output.json, yes=yes)
    raise typer.Exit(run_dead(settings, wish))


PodArgument = Annotated[str, typer.Argument(metavar="NAMESPACE/POD")]


@app.command(epilog="\b\nExample:\n  eureka-drain drain shop/orders-7cd9c4fbcc-nlttw --reason 'leaks memory'")
def drain(
    context: typer.Context,
    pod: PodArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the event log.")] = "",
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Take one living pod out of service, and wait until it is proved. It stays so until restore, or its death.

    The last instance of an app is refused (guard.last_instance).
    """
    from controller.app.by_hand import drain as drain_by_hand

    settings = _prepare(context, config, assignments)
    raise typer.Exit(drain_by_hand(settings, _pod(pod), _asker(reason)))


@app.command(epilog="\b\nExample:\n  eureka-drain restore shop/orders-7cd9c4fbcc-nlttw")
def restore(
    context: typer.Context,
    pod: PodArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the event log.")] = "",
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Put one living pod back in service that a drain has taken out, and wait until it is proved.

    Only what the event log says we took out: an override that somebody else set stays.
    """
    from controller.app.by_hand import restore as restore_by_hand

    settings = _prepare(context, config, assignments)
    raise typer.Exit(restore_by_hand(settings, _pod(pod), _asker(reason)))


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


def _pod(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise SettingsError([f"{text[:80]!r} is not NAMESPACE/POD"])
    return namespace, name


def _asker(why: str) -> Asker:
    """Who sits at this terminal."""
    import getpass
    import socket
    from datetime import UTC, datetime

    from controller.domain.replay import Asker

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return Asker(by=f"{user}@{socket.gethostname()}"[:256], at=datetime.now(UTC), why=why[:2_000])


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
    *,
    watch: bool = False,
    work: Callable[[Settings], list[str]] = lambda _: [],
    ops: bool = False,
) -> None:
    from controller import tracing
    from controller.app.roles import start
    from controller.logs import configure

    settings = _load(context, config, assignments)
    configure(settings.log)
    tracing.configure(settings.tracing.endpoint)
    raise typer.Exit(start(settings, watch=watch, work=work(settings), ops=ops))


def kubectl_drains() -> None:
    """The entry point of ``kubectl drains``: what ``eureka-drain drains`` does; another command's name leads there."""
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    if not any(argument in commands for argument in sys.argv[1:2]):
        sys.argv.insert(1, "drains")
    main()


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
