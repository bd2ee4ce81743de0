"""The command that looks at everything before somebody else has to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli.options import Assignments, ConfigFile, Output, OutputOption
from controller.cli.requests import prepare

app = typer.Typer()


class RoleName(StrEnum):
    """Whose needs are looked at."""

    watch = "watch"
    work = "work"
    ops = "ops"
    sweep = "sweep"


EXAMPLES = """\b
Examples:
  eureka-drain doctor                                            from where kubectl works
  kubectl exec deploy/eureka-drain-work -- eureka-drain doctor --role work
"""


@app.command(epilog=EXAMPLES)
def doctor(
    context: typer.Context,
    role: Annotated[
        list[RoleName] | None, typer.Option("--role", help="What this role needs. Repeatable; else watch and work.")
    ] = None,
    output: OutputOption = Output.table,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Check rights, broker, registry nodes and clocks, and how many living pods are found; each with its mend.

    Changes nothing. Exit status 1 when something is wrong.
    """
    from controller.app.doctoring import Role
    from controller.app.doctoring import doctor as look

    settings = prepare(context, config, assignments)
    raise typer.Exit(look(settings, [Role(name) for name in role or ()], as_json=output is Output.json))
