"""How a process ends: in lines that a person can use, and with an exit status."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, Literal, TypeVar

from loguru import logger

from controller.errors import DrainControllerError

T = TypeVar("T")


class Failed(Enum):
    """How a task ends that has told what went wrong."""

    FAILED = auto()


FAILED = Failed.FAILED


def finished(task: Coroutine[Any, Any, T]) -> T | Literal[Failed.FAILED]:
    """Run it to its end, and tell what went wrong in lines that a person can use."""
    import uvloop

    try:
        return uvloop.run(task)
    except (Exception, BaseExceptionGroup) as error:
        for leaf in _leaves(error):
            expected = isinstance(leaf, DrainControllerError | OSError)
            text = str(leaf) if expected else f"{type(leaf).__name__}: {leaf}"
            # A mistake of the program keeps its traceback for whoever mends it, on request.
            logger.bind(error=text).error("cannot go on")
            logger.opt(exception=None if expected else leaf).debug("ended by {}", type(leaf).__name__)
        return FAILED


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
