"""Logging what stands in the way of something that is tried again and again.

The parts of an installation start in any order. So what nobody has declared yet is waited for quietly, and is a warning
only when that lasts. What was there before has been deleted: that is a warning at once, as any other trouble is.
"""

from __future__ import annotations

import asyncio

from loguru import logger

from controller.errors import PartsMissingError, StreamMissingError

WARN_AFTER = 60.0
"""Seconds that others have to declare what is missing."""


WAITING = "waiting for what is not declared yet"


class TroubleLog:
    """What stands in the way of one thing; ``facts`` say of which.

    ``repeats``: a warning comes with each try, so that a log's newest lines show that it is tried, and why in vain.
    """

    def __init__(self, message: str, *, repeats: bool = False, **facts: str) -> None:
        self._message = message
        self._repeats = repeats
        self._log = logger.bind(**facts)
        self._was_over = False
        self._since: float | None = None
        self._noted: tuple[str, str] | None = None

    def note(self, error: BaseException, text: str) -> None:
        """Log this, unless it is just what was logged last."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        is_awaited = is_missing(error) and not self._was_over
        is_quiet = is_awaited and now - self._since < WARN_AFTER
        message, level = (WAITING, "INFO") if is_quiet else (self._message, "WARNING")
        if self._noted != (message, text) or (self._repeats and not is_awaited):
            self._log.bind(error=text).log(level, message)
        self._noted = message, text

    def over(self) -> None:
        """Note that nothing stands in the way now."""
        self._was_over, self._since, self._noted = True, None, None


def is_missing(error: BaseException | None) -> bool:
    """Return whether it, or what it comes from, is that something is not declared."""
    while error is not None and not isinstance(error, StreamMissingError | PartsMissingError):
        error = error.__cause__
    return error is not None
