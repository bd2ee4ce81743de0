"""The command that looks at everything before somebody else has to."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.options import Assignments, ConfigFile, Output, OutputOption
from controller.cli.requests import prepare
from controller.domain.roles import Role
from controller.errors import SettingsError

app = typer.Typer()


EXAMPLES = """\b
Examples:
  eureka-drain doctor                                            from where kubectl works
  kubectl exec deploy/eureka-drain-work -- eureka-drain doctor --role work
  eureka-drain doctor --pods                                     whose pods are gone too early
  eureka-drain doctor --pods --patch                             and what mends it, to be read and then run
"""


@app.command(epilog=EXAMPLES)
def doctor(
    context: typer.Context,
    role: Annotated[
        list[Role] | None, typer.Option("--role", help="What this role needs. Repeatable; else watch and work.")
    ] = None,
    pods: Annotated[
        bool, typer.Option("--pods", help="Instead: do the cluster's pods serve until nobody calls them any more?")
    ] = False,
    patch: Annotated[bool, typer.Option("--patch", help="With --pods: print the kubectl lines that mend it.")] = False,
    output: OutputOption = Output.table,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Check rights, broker, registry nodes and clocks, and how many living pods are found; each with its mend.

    Changes nothing. Exit status 1 when something is wrong.
    """
    from controller.app.commands.doctor import doctor as look
    from controller.app.commands.doctor import doctor_of_pods

    if patch and not pods:
        raise SettingsError(["--patch goes with --pods"])
    if pods and role:
        raise SettingsError(["--role goes without --pods: pods are looked at for all roles alike"])
    settings = prepare(context, config, assignments)
    as_json = output is Output.json
    if pods:
        raise typer.Exit(doctor_of_pods(settings, patch=patch, as_json=as_json))
    raise typer.Exit(look(settings, role or [], as_json=as_json))
