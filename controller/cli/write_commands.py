"""Commands that change something, most of them after a plan: sweep, replay, dead, drain, restore."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli.options import (
    AppFilter,
    Assignments,
    ConfigFile,
    IdFilter,
    NamespaceFilter,
    Output,
    OutputOption,
    PodArgument,
    PodFilter,
    Reason,
    RegionFilter,
    Since,
    StateFilter,
    Until,
)
from controller.cli.requests import load, pod_of, prepare, requester, selection_of

app = typer.Typer()


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
    from controller.app.commands.sweep import sweep as run_one_pass
    from controller.logs import configure

    settings = load(context, config, assignments)
    configure(settings.log)
    raise typer.Exit(run_one_pass(settings, dry_run=dry_run))


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
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Execute the plan.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Drain again what is still in service: prints the plan; with --yes executes it and waits for the outcomes.

    Chosen by the filters, from the last 2 hours unless --since or --id says otherwise. Exit status 1 when something
    chosen is in the end neither out of service nor gone.
    """
    from controller.app.commands.replay import ReplayRequest
    from controller.app.commands.replay import replay as run_replay

    settings = prepare(context, config, assignments)
    selection = selection_of(
        since=since or ("" if drain_id or dead else "2h"),
        until=until,
        region=region,
        app=app_name,
        namespace=namespace,
        pod=pod,
        states=state or (),
        ids=drain_id or (),
    )
    wish = ReplayRequest(
        selection=selection, requester=requester(reason), dead=dead, again=again, yes=yes, a_second=rps
    )
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
    reason: Reason = "",
    output: OutputOption = Output.table,
    yes: Annotated[bool, typer.Option("--yes", help="Drop for good what the filters choose.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """The dead letters of each region: what was given up, and why. List them, send them again, or drop them."""
    from controller.app.commands.dead_letters import DeadLetterRequest
    from controller.app.commands.dead_letters import dead as run_dead

    settings = prepare(context, config, assignments)
    selection = selection_of(region=region, app=app_name, namespace=namespace, pod=pod, ids=drain_id or ())
    wish = DeadLetterRequest(
        selection=selection, requester=requester(reason), action=action.value, as_json=output is Output.json, yes=yes
    )
    raise typer.Exit(run_dead(settings, wish))


@app.command(epilog="\b\nExample:\n  eureka-drain drain shop/orders-7cd9c4fbcc-nlttw --reason 'leaks memory'")
def drain(
    context: typer.Context,
    pod: PodArgument,
    reason: Reason = "",
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Take one living pod out of service, and wait until it is proved. It stays so until restore, or its death.

    The last instance of an app is refused (guard.last_instance).
    """
    from controller.app.commands.by_hand import drain as drain_by_hand

    settings = prepare(context, config, assignments)
    raise typer.Exit(drain_by_hand(settings, pod_of(pod), requester(reason)))


@app.command(epilog="\b\nExample:\n  eureka-drain restore shop/orders-7cd9c4fbcc-nlttw")
def restore(
    context: typer.Context,
    pod: PodArgument,
    reason: Reason = "",
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Put one living pod back in service that a drain has taken out, and wait until it is proved.

    Only what the event log says we took out: an override that somebody else set stays.
    """
    from controller.app.commands.by_hand import restore as restore_by_hand

    settings = prepare(context, config, assignments)
    raise typer.Exit(restore_by_hand(settings, pod_of(pod), requester(reason)))
