"""What a command owes a person at a terminal: messages of one line, and tables that fit. For the plugin, too."""

from __future__ import annotations

import io
import os
import shutil
import sys
from contextlib import suppress

from controller.domain.printable import printable


def terminal_width() -> int | None:
    """Return the terminal's columns; None where nobody looks and nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def prepare_streams() -> None:
    """Let no standard stream fail: one that is closed leads nowhere, and a letter that a terminal lacks is replaced."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as we run
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_output(program: str, error: OSError) -> None:
    """Forget what cannot be written, or the interpreter's end would try once more; say why, if anybody reads."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        report(f"{program}: {error.strerror or error}")


def report(text: str) -> None:
    """Print a message of one line, beside the data. It may quote what a pod, a server or another sender wrote."""
    print(printable(text), file=sys.stderr)
