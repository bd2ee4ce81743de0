"""What a command owes a person at a terminal: messages of one line, and tables that fit. For the plugin, too."""

from __future__ import annotations

import shutil
import sys

from controller.domain.printable import printable


def terminal_width() -> int | None:
    """Return the terminal's columns; None where nobody looks and nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def report(text: str) -> None:
    """Print a message of one line, beside the data. It may quote what a pod, a server or another sender wrote."""
    print(printable(text), file=sys.stderr)
