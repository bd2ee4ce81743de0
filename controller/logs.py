"""Logs: loguru to stderr, one line an event, facts bound once and a constant sentence as the message.

Traps avoided: loguru's ``diagnose`` prints local variables, passwords included; a value with a newline must not make a
second line; libraries log through the standard library and are caught here.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from controller.settings import LogSettings, without_credentials

if TYPE_CHECKING:
    from loguru import Record

LINE = "line"
"""The fact that holds a formatted line: loguru formats once more what a format function returns."""
FORMAT = f"{{extra[{LINE}]}}\n"
NOISY = ("aiormq", "aio_pika", "aiohttp.access", "asyncio")


class _Intercept(logging.Handler):
    """Passes the standard library's records to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        try:
            # As an argument, not as the format: a library's text may hold braces.
            text = record.getMessage()
            problem = record.exc_info[1] if record.exc_info else None
            # One clause about a library's problem: its traceback would be read as ours.
            error = _summary(problem) if problem else None
            logger.bind(library=record.name, error=error).log(level, "{}", without_credentials(text))
        except Exception:  # a library's broken log call must not raise in the library
            self.handleError(record)


def _summary(problem: BaseException) -> str:
    frames = traceback.extract_tb(problem.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(problem).__name__}: {without_credentials(str(problem))}{where}"


def _one_line(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text


def _facts(record: Record) -> dict[str, Any]:
    facts = {name: value for name, value in record["extra"].items() if name != LINE and value not in ("", None)}
    problem = record["exception"]
    if problem is not None and problem.value is not None:
        facts["exception"] = "".join(traceback.format_exception(problem.value))
    return facts


def _as_text(record: Record) -> str:
    facts = " ".join(f"{name}={_one_line(str(value))}" for name, value in _facts(record).items())
    stamp = record["time"].strftime("%H:%M:%S.%f")[:-3]
    line = f"{stamp} {record['level'].name:<7} {_one_line(record['message'])}"
    record["extra"][LINE] = f"{line}  {facts}" if facts else line
    return FORMAT


def _as_json(record: Record) -> str:
    line = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": record["message"],
        **_facts(record),
    }
    record["extra"][LINE] = json.dumps(line, default=str)
    return FORMAT


def configure(settings: LogSettings, *, quiet: bool = False) -> None:
    """Send every log of this process to stderr, as the settings demand.

    ``quiet`` is for commands that report to a person themselves: they log only at DEBUG.
    """
    if quiet and settings.level != "DEBUG":
        settings = settings.model_copy(update={"level": "CRITICAL"})
    as_text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    logger.remove()
    logger.add(
        sys.stderr,
        level=settings.level,
        format=_as_text if as_text else _as_json,
        colorize=False,
        diagnose=False,
        backtrace=False,
        catch=True,
    )
    logging.basicConfig(handlers=[_Intercept()], level=settings.level, force=True)
    for name in NOISY:
        # At INFO and WARNING they log what this program notices and logs itself.
        logging.getLogger(name).setLevel(logging.CRITICAL if settings.level != "DEBUG" else logging.INFO)
