"""What every command is given: where its settings come from, and the filters that were typed.

``command`` registers a function whose first parameter is a ``Call``. Typer sees the options of the settings and of the
filters in its place, so that no command lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from controller.cli.options import Assignments, ConfigFile
from controller.domain.selection import Filter, SelectionError, select
from controller.errors import SettingsError

if TYPE_CHECKING:  # a help text is not worth the import of everything
    from controller.domain.replay_plan import Requester
    from controller.domain.selection import Selection
    from controller.settings import Settings
    from controller.settings.sources import Sources

MAX_NAME_LENGTH = 200
"""Characters of a user and a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a command. SettingsError says what is wrong with it."""

    config: Path | None
    assignments: list[str]
    given: Mapping[str, str | list[str]]

    @property
    def sources(self) -> Sources:
        """Where the settings come from."""
        from controller.settings.sources import Sources

        return Sources(config=self.config, assignments=self.assignments)

    def load(self) -> Settings:
        """Read the settings."""
        return self.sources.load()

    def prepare(self) -> Settings:
        """Return the settings of a command that a person waits for, which speaks to the broker; configure its log."""
        from controller.logs import configure
        from controller.tls.context import for_broker

        settings = self.load()
        for_broker(settings.broker)
        configure(settings.log, quiet=True)
        return settings

    def finish(self, task: Coroutine[Any, Any, int | None], *, plain: bool = True) -> NoReturn:
        """Run a command's task to its end, and leave with its exit status."""
        from controller.app.exit_status import run_to_exit_status

        raise typer.Exit(run_to_exit_status(task, plain=plain))

    def selection(self, **defaults: str) -> Selection:
        """Read the filters; ``defaults`` stand in for those that were not given."""
        from datetime import UTC, datetime

        try:
            return select({**self.given, **{k: v for k, v in defaults.items() if not self.given[k]}}, datetime.now(UTC))
        except SelectionError as error:
            name, _, problem = str(error).partition(":")
            raise SettingsError([f"{_option(name)}:{problem}"]) from None


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    epilog: str | None = None,
    filters: Iterable[Filter] = (),
    defaults: Mapping[str, str] | None = None,
    cls: type[TyperCommand] = TyperCommand,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command that takes a ``Call``, these filters, and the options of its own; ``cls`` reads its words."""
    offered = tuple(filters)

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def run(context: typer.Context, **options: Any) -> None:
            config, assignments = context.obj
            given = {one.name: options.pop(one.name) or "" for one in offered}
            call = Call(
                config=options.pop("config") or config,
                assignments=[*assignments, *(options.pop("assignments") or [])],
                given=given,
            )
            function(call, **options)

        own = list(signature(function, eval_str=True).parameters.values())[1:]
        parameters = [
            Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *(_parameter(one, (defaults or {}).get(one.name, "")) for one in offered),
            *(one.replace(kind=Parameter.KEYWORD_ONLY) for one in own),
            Parameter("config", Parameter.KEYWORD_ONLY, annotation=ConfigFile, default=None),
            Parameter("assignments", Parameter.KEYWORD_ONLY, annotation=Assignments, default=None),
        ]
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__signature__ = signature(run).replace(parameters=parameters)  # type: ignore[attr-defined]
        app.command(name, cls=cls, epilog=epilog)(run)
        return function

    return register


def _parameter(one: Filter, default: str) -> Parameter:
    about = f"{one.about} Repeatable." if one.repeatable else one.about
    names = [_option(one.name), one.short] if one.short else [_option(one.name)]
    option = typer.Option(*names, metavar=one.metavar, help=about)
    kind = Annotated[list[str] | None, option] if one.repeatable else Annotated[str, option]
    return Parameter(one.name, Parameter.KEYWORD_ONLY, annotation=kind, default=None if one.repeatable else default)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def pod_of(text: str) -> tuple[str, str]:
    """Read ``namespace/name``."""
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise SettingsError([f"{text[:80]!r} is not NAMESPACE/POD"])
    return namespace, name


def requester(why: str) -> Requester:
    """Return who sits at this terminal, by the system's word: the environment may say anything."""
    import pwd
    import socket
    from datetime import UTC, datetime

    from controller.domain.replay_plan import Requester

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user may have no name
        user = f"uid {os.getuid()}"
    by = f"{user}@{socket.gethostname()}"[:MAX_NAME_LENGTH]
    # The broker's account is all that was checked, and several persons may use it.
    return Requester(by=f"{by}, not authenticated", at=datetime.now(UTC), why=why[:2_000])
