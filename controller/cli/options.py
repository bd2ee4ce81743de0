"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file (YAML); before or after the command.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting, for example http.port=9090. Repeatable."),
]


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
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the event log.")]
PodArgument = Annotated[str, typer.Argument(metavar="NAMESPACE/POD")]
