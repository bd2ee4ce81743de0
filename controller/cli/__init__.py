"""The command line: a few lines a command. Exit status: 0 done, 1 something is wrong, 2 bad usage or bad settings."""

from __future__ import annotations

import os
import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from controller.cli import doctor_command, read_commands, role_commands, write_commands
from controller.cli.options import Assignments, ConfigFile
from controller.errors import SettingsError
from controller.plugin import command_line as plugin
from controller.terminal import drop_output, prepare_streams, report

app = typer.Typer(
    name="eureka-drain",
    help="Take terminating Kubernetes pods out of Eureka before their clients call them in vain.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def print_version(wanted: bool) -> None:
    """Print what is installed, and leave."""
    if wanted:
        print(f"eureka-drain {version('eureka-drain')}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    config: ConfigFile = None,
    assignments: Assignments = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version, and leave.")
    ] = False,
) -> None:
    """Take terminating Kubernetes pods out of Eureka before their clients call them in vain."""
    context.obj = (config, assignments or [])


for part in (role_commands, write_commands, read_commands, doctor_command):
    app.registered_commands += part.app.registered_commands


def kubectl_drains() -> None:
    """Run as ``kubectl drains``: over the API of ops, or with the broker's settings where they are given."""
    if not plugin.names_settings(sys.argv[1:], os.environ):
        sys.exit(plugin.main())
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    if not any(argument in commands for argument in sys.argv[1:2]):
        sys.argv.insert(1, "drains")
    main()


def main() -> None:
    """Run a command: one line a mistake on stderr, and no traceback."""
    if os.getpid() == 1:
        # In a container. The kernel gives process 1 no default: what is sent before a role listens for it, or to a
        # command that never does, would be lost, and the pod would wait for its SIGKILL.
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    prepare_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SettingsError as error:
        for problem in error.problems:
            report(f"eureka-drain: {problem}")
        sys.exit(2)
    except OSError as error:
        drop_output("eureka-drain", error)
        sys.exit(1)
