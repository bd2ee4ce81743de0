"""Commands that change something, most of them after a plan: sweep, replay, dead, drain, restore, topology."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli.call import Call, command, pod_of, requester
from controller.cli.options import Output, OutputOption, PodArgument, Reason
from controller.domain.selection import FILTERS
from controller.errors import SettingsError

app = typer.Typer()


@command(app)
def sweep(
    call: Call,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look and report, whatever sweep.policy says.")] = False,
) -> None:
    """Find, or drain, what no living pod stands behind. One pass takes 35 to 70 s.

    sweep.policy decides: report (the default) changes nothing; drain sends a drain for each finding. An instance counts
    only when the event log or sweep.pod_cidrs says that it was this cluster's, and when it has not heartbeat meanwhile.
    """
    from controller.app.commands.sweep import sweep as run_one_pass
    from controller.logs import configure

    settings = call.load()
    configure(settings.log)
    call.finish(run_one_pass(settings, dry_run=dry_run), plain=False)


REPLAY_EXAMPLES = """\b
Examples:
  eureka-drain replay --since 1h --state failed             the plan; nothing changes
  eureka-drain replay --since 1h --state failed --yes --reason INC-4711
  eureka-drain replay --id u4ogxdsnands54l3 --yes
  eureka-drain replay --dead --region eu --yes --rps 10
"""


@command(app, epilog=REPLAY_EXAMPLES, filters=FILTERS)
def replay(
    call: Call,
    dead: Annotated[bool, typer.Option("--dead", help="The dead letters, instead of the event log.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what a worker still has under way.")] = False,
    rps: Annotated[float, typer.Option("--rps", min=0.01, max=10_000, help="Drains to send in a second.")] = 50.0,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Execute the plan.")] = False,
) -> None:
    """Drain again what is still in service. Prints the plan; with --yes executes it and waits for the outcomes.

    Chosen by the filters, from the last 2 hours unless --since or --id says otherwise. Exit status 1 when something
    chosen is in the end neither out of service nor gone.
    """
    from controller.app.commands.replay import ReplayRequest
    from controller.app.commands.replay import replay as run_replay

    settings = call.prepare()
    selection = call.selection(since="" if call.given["id"] or dead else "2h")
    request = ReplayRequest(
        selection=selection, requester=requester(reason), dead=dead, again=again, yes=yes, per_second=rps
    )
    call.finish(run_replay(settings, request))


class Action(StrEnum):
    """What to do with dead letters."""

    list = "list"
    requeue = "requeue"
    drop = "drop"


DEAD_EXAMPLES = """\b
Examples:
  eureka-drain dead                                   every region's, with their reasons
  eureka-drain dead requeue --region eu               send them again, once what was wrong is fixed
  eureka-drain dead drop --id u4ogxdsnands54l3 --yes
"""


@command(app, epilog=DEAD_EXAMPLES, filters=[one for one in FILTERS if not one.needs_record])
def dead(
    call: Call,
    action: Annotated[Action, typer.Argument(help="drop needs --yes.")] = Action.list,
    reason: Reason = "",
    output: OutputOption = Output.table,
    yes: Annotated[bool, typer.Option("--yes", help="Drop for good what the filters choose.")] = False,
) -> None:
    """List dead letters, send them again, or drop them. Each region has its own, and each has its reason."""
    from controller.app.commands.dead_letters import DeadLetterRequest
    from controller.app.commands.dead_letters import dead as run_dead

    settings = call.prepare()
    as_json = output is Output.json
    request = DeadLetterRequest(
        selection=call.selection(), requester=requester(reason), action=action.value, as_json=as_json, yes=yes
    )
    call.finish(run_dead(settings, request))


@command(app, epilog="\b\nExample:\n  eureka-drain drain shop/orders-7cd9c4fbcc-nlttw --reason 'leaks memory'")
def drain(call: Call, pod: PodArgument, reason: Reason = "") -> None:
    """Take one living pod out of service, and wait until it is proved. It stays so until restore, or its death.

    The last instance of an app is refused (guard.last_instance).
    """
    from controller.app.commands.by_hand import drain as drain_by_hand

    call.finish(drain_by_hand(call.prepare(), pod_of(pod), requester(reason)))


@command(app, epilog="\b\nExample:\n  eureka-drain restore shop/orders-7cd9c4fbcc-nlttw")
def restore(call: Call, pod: PodArgument, reason: Reason = "") -> None:
    """Put back one living pod. Waits until it is proved.

    Only what the event log says we took out: an override that somebody else set stays.
    """
    from controller.app.commands.by_hand import restore as restore_by_hand

    call.finish(restore_by_hand(call.prepare(), pod_of(pod), requester(reason)))


class TopologyAction(StrEnum):
    """What to do with what is on the broker."""

    show = "show"
    declare = "declare"
    move = "move"


TOPOLOGY_EXAMPLES = """\b
Examples:
  eureka-drain topology                               what is there, and what is missing
  eureka-drain topology declare                       as an administrator, where processes may not
  eureka-drain topology declare --keep                and again whatever is deleted, until SIGTERM
  eureka-drain topology move --from eu-old --to eu    after a region was renamed
"""


@command(app, epilog=TOPOLOGY_EXAMPLES)
def topology(
    call: Call,
    action: Annotated[TopologyAction, typer.Argument(help="move needs --from and --to.")] = TopologyAction.show,
    source: Annotated[str, typer.Option("--from", metavar="REGION", help="A region that is no more.")] = "",
    target: Annotated[str, typer.Option("--to", metavar="REGION", help="A region of the settings.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Declare, then run on: again, whatever is deleted.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Show what is on the broker, declare it, or move what waits for a region that the settings no longer name.

    Exit status 1 when something is missing or has other arguments, or cannot be moved.
    """
    from controller.app.commands import broker_topology
    from controller.app.topology_role import keep_topology
    from controller.logs import configure

    if keep and action is not TopologyAction.declare:
        raise SettingsError(["--keep belongs to declare"])
    if keep:
        settings = call.load()
        configure(settings.log)
        raise typer.Exit(keep_topology(settings, call.sources))
    settings = call.prepare()
    if bool(source) != bool(target) or (action is TopologyAction.move) != bool(source):
        raise SettingsError(["move needs --from REGION and --to REGION, and nothing else does"])
    if action is TopologyAction.move:
        call.finish(broker_topology.move(settings, source, target))
    if action is TopologyAction.declare:
        call.finish(broker_topology.declare_all(settings))
    call.finish(broker_topology.show(settings, as_json=output is Output.json))
