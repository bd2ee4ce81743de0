"""What a command owes the person who waits for it: lines that he can use, and an exit status."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Literal, TypeVar

from loguru import logger

from controller.errors import DrainControllerError, SettingsError

T = TypeVar("T")


class Failed(Enum):
    """How a task ends that has told what went wrong."""

    FAILED = auto()


FAILED = Failed.FAILED


def finished(task: Coroutine[Any, Any, T], *, plain: bool = False) -> T | Literal[Failed.FAILED]:
    """Run it to its end, and tell what went wrong in lines that a person can use.

    A role logs it; a command that a person waits for (``plain``) says it.
    """
    import uvloop

    try:
        return uvloop.run(task)
    except (BrokenPipeError, SettingsError):  # nobody reads our answer any more; exit 2, a line a mistake
        raise
    except (Exception, BaseExceptionGroup) as error:
        for leaf in _leaves(error):
            expected = isinstance(leaf, DrainControllerError | OSError)
            text = str(leaf) if expected else f"{type(leaf).__name__}: {leaf}"
            if plain:
                print(f"eureka-drain: {text}", file=sys.stderr)
                continue
            # A mistake of the program keeps its traceback for whoever mends it, on request.
            logger.bind(error=text).error("cannot go on")
            logger.opt(exception=None if expected else leaf).debug("ended by {}", type(leaf).__name__)
        return FAILED


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def terminal_width() -> int | None:
    """The terminal's columns; None where nobody looks and nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def report(text: str) -> None:
    """A message, beside the data."""
    print(text, file=sys.stderr)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, and nothing elsewhere; gives what advances it by one."""
    if not total or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
