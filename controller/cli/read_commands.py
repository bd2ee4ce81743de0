"""Commands that change nothing: drains, rollouts, show, config."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.call import Call, command
from controller.cli.options import Output, OutputOption
from controller.domain.selection import FILTERS, ROLLOUT_FILTERS

app = typer.Typer()


DRAINS_EXAMPLES = """\b
Examples:
  eureka-drain drains --since 30m --state failed --state retrying
  eureka-drain drains --pod 'shop/orders-*' --follow
  eureka-drain drains --since 1d -o json | jq -r 'select(.seconds_to_out_of_service > 5) | .pod'
"""


@command(app, epilog=DRAINS_EXAMPLES, filters=FILTERS, defaults={"since": "2h"})
def drains(
    call: Call,
    output: OutputOption = Output.table,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
) -> None:
    """Show what happened, from the event log, the newest last."""
    from controller.app.commands.drains import drains as show_drains

    settings, selection = call.prepare(), call.selection()
    call.finish(show_drains(settings, selection, as_json=output is Output.json, follow=follow))


ROLLOUTS_EXAMPLES = """\b
Examples:
  eureka-drain rollouts --app orders
  eureka-drain rollouts --since 1d -o json | jq -r 'select(.not_graceful > 0) | .workload'
"""


@command(app, epilog=ROLLOUTS_EXAMPLES, filters=ROLLOUT_FILTERS, defaults={"since": "2h"})
def rollouts(call: Call, output: OutputOption = Output.table) -> None:
    """Show drains as rollouts: the pods of each workload's revision, and how each of them ended; the newest last."""
    from controller.app.commands.drains import rollouts as show_rollouts

    settings, selection = call.prepare(), call.selection()
    call.finish(show_rollouts(settings, selection, as_json=output is Output.json))


@command(app, epilog="\b\nExample:\n  eureka-drain show u4ogxdsnands54l3")
def show(
    call: Call,
    drain_id: Annotated[str, typer.Argument(metavar="DRAIN_ID", help="As drains shows it.")],
    output: OutputOption = Output.table,
) -> None:
    """Show one drain's timeline. It has when the pod was seen, each step since, and what each node showed."""
    from controller.app.commands.drains import show as show_drain

    call.finish(show_drain(call.prepare(), drain_id, as_json=output is Output.json))


@command(app, "config")
def show_config(
    call: Call, comments: Annotated[bool, typer.Option("--comments", help="Explain each setting.")] = False
) -> None:
    """Print the settings in force as a settings file, secrets masked."""
    from controller.settings.yaml_file import commented, plain

    typer.echo((commented if comments else plain)(call.load()), nl=False)
