"""The command that looks at everything before somebody else has to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from controller.cli.call import Call, command
from controller.cli.options import Output, OutputOption
from controller.domain.roles import Role
from controller.domain.shutdown.patch_form import PatchForm
from controller.errors import SettingsError

app = typer.Typer()

USUAL_VALUES = {"--patch": PatchForm.kubectl}
"""Of options whose value may be left out, which Typer knows nothing of."""


class WithUsualValues(TyperCommand):
    """A command that adds what stands for a value that is left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words."""
        return super().parse_args(ctx, list(_with_values(args)))


def _with_values(words: Sequence[str]) -> Iterator[str]:
    for word, following in pairwise([*words, "-"]):
        left_out = word in USUAL_VALUES and following.startswith("-")
        yield f"{word}={USUAL_VALUES[word].value}" if left_out else word


EXAMPLES = """\b
Examples:
  eureka-drain doctor                                            from where kubectl works
  kubectl exec deploy/eureka-drain-work -- eureka-drain doctor --role work
  eureka-drain doctor --pods                                     whose pods are gone too early
  eureka-drain doctor --pods --patch                             and what fixes it, to be read and then run
  eureka-drain doctor --pods --patch=kustomize                   the same for the overlay that renders the workloads
"""


@command(app, epilog=EXAMPLES, cls=WithUsualValues)
def doctor(
    call: Call,
    role: Annotated[
        list[Role] | None, typer.Option("--role", help="What this role needs. Repeatable; else watch and work.")
    ] = None,
    pods: Annotated[
        bool, typer.Option("--pods", help="Instead: do the cluster's pods serve until nobody calls them any more?")
    ] = False,
    patch: Annotated[
        PatchForm | None,
        typer.Option(
            "--patch", help="With --pods: print what fixes it, for a shell, an overlay or a chart. Alone: for kubectl."
        ),
    ] = None,
    output: OutputOption = Output.table,
) -> None:
    """Check rights, broker, registry nodes, clocks and pods. Each finding has its fix.

    Changes nothing. Exit status 1 when something is wrong.
    """
    from controller.app.commands.doctor import doctor as run_checks
    from controller.app.commands.doctor import doctor_of_pods

    if patch and not pods:
        raise SettingsError(["--patch goes with --pods"])
    if pods and role:
        raise SettingsError(["--role goes without --pods: pods are checked for all roles alike"])
    settings = call.prepare()
    as_json = output is Output.json
    if pods:
        call.finish(doctor_of_pods(settings, patch=patch, as_json=as_json))
    call.finish(run_checks(settings, role or [], as_json=as_json))
