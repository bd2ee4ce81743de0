"""Commands that change nothing: drains, show, config."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.options import (
    AppFilter,
    Assignments,
    ConfigFile,
    NamespaceFilter,
    Output,
    OutputOption,
    PodFilter,
    RegionFilter,
    Since,
    StateFilter,
    Until,
)
from controller.cli.requests import load, prepare, selection_of

app = typer.Typer()


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
    from controller.app.commands.drains import drains as show_drains

    settings = prepare(context, config, assignments)
    selection = selection_of(
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
    from controller.app.commands.drains import show as show_drain

    settings = prepare(context, config, assignments)
    raise typer.Exit(show_drain(settings, drain_id, as_json=output is Output.json))


@app.command("config")
def show_config(context: typer.Context, config: ConfigFile = None, assignments: Assignments = None) -> None:
    """Print the settings in force, secrets masked."""
    import yaml

    settings = load(context, config, assignments)
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), nl=False)
