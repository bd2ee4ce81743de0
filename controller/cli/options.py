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


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="json: one object a line, names in full.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the event log.")]
PodArgument = Annotated[str, typer.Argument(metavar="NAMESPACE/POD")]
