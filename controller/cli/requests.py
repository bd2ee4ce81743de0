"""From what was typed to what is asked for: settings, filters, a pod, who asks. SettingsError says what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from controller.errors import SettingsError

if TYPE_CHECKING:  # a help text is not worth the import of everything
    from controller.domain.replay_plan import Requester
    from controller.domain.selection import Selection
    from controller.settings import Settings
    from controller.settings_sources import Sources


def sources_of(context: typer.Context, config: Path | None, assignments: list[str] | None) -> Sources:
    """Where the settings come from, with what was given before the command and after it."""
    from controller.settings_sources import Sources

    earlier_config, earlier_assignments = context.obj
    return Sources(config=config or earlier_config, assignments=[*earlier_assignments, *(assignments or [])])


def load(context: typer.Context, config: Path | None, assignments: list[str] | None) -> Settings:
    """Read the settings."""
    return sources_of(context, config, assignments).load()


def prepare(context: typer.Context, config: Path | None, assignments: list[str] | None) -> Settings:
    """Settings and logs of a command that a person waits for; all of them speak to the broker."""
    from controller.logs import configure
    from controller.tls.context import for_broker

    settings = load(context, config, assignments)
    for_broker(settings.broker)
    configure(settings.log, quiet=True)
    return settings


def selection_of(**filters: Any) -> Selection:
    """Read the filters."""
    from datetime import UTC, datetime

    from controller.domain.selection import SelectionError, select

    try:
        return select(now=datetime.now(UTC), **filters)
    except SelectionError as error:
        raise SettingsError([f"--{error}"]) from None


def pod_of(text: str) -> tuple[str, str]:
    """Read ``namespace/name``."""
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise SettingsError([f"{text[:80]!r} is not NAMESPACE/POD"])
    return namespace, name


def requester(why: str) -> Requester:
    """Who sits at this terminal."""
    import getpass
    import socket
    from datetime import UTC, datetime

    from controller.domain.replay_plan import Requester

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return Requester(by=f"{user}@{socket.gethostname()}"[:256], at=datetime.now(UTC), why=why[:2_000])
