"""What a command owes the person who waits for it: lines that can be used, and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger

from controller.app.garbage import look_rarely
from controller.errors import DrainControllerError, SettingsError
from controller.terminal import report


def run_to_exit_status(task: Coroutine[Any, Any, int | None], *, plain: bool = False) -> int:
    """Run a task to its end, and return its exit status; what went wrong is reported in lines that a person can use.

    A role logs these lines; a command that a person waits for (``plain``) prints them.
    """
    import uvloop

    look_rarely()
    try:
        return uvloop.run(task) or 0
    except (BrokenPipeError, SettingsError):  # nobody reads our answer any more; exit status 2, one line a mistake
        raise
    except (Exception, BaseExceptionGroup) as error:
        for leaf in _leaves(error):
            expected = isinstance(leaf, DrainControllerError | OSError)
            text = str(leaf) if expected else f"{type(leaf).__name__}: {leaf}"
            if plain:
                report(f"eureka-drain: {text}")
                continue
            # A mistake of the program keeps its traceback, for whoever asks for it by the log's level.
            logger.bind(error=text).error("cannot go on")
            logger.opt(exception=None if expected else leaf).debug("ended by {}", type(leaf).__name__)
        return 1


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal, and nothing elsewhere; yield what shows how many are done."""
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
