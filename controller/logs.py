"""Logs: loguru to stderr, one line an event, facts bound once and a constant sentence as the message.

Traps avoided: loguru's ``diagnose`` prints local variables, passwords included; a value with a newline must not make a
second line; libraries log through the standard library and are caught here.
"""

from __future__ import annotations

import inspect
import json
import logging
import sys
from typing import TYPE_CHECKING

from loguru import logger

from controller.settings import Log

if TYPE_CHECKING:
    from loguru import Record

NOISY = ("aiormq", "aio_pika", "aiohttp.access", "asyncio")


class _Intercept(logging.Handler):
    """Hands the standard library's records to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        # As an argument, not as the format: a library's text may hold braces.
        logger.bind(library=record.name).opt(depth=depth).log(level, "{}", record.getMessage())


def _one_line(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text


def _as_text(record: Record) -> str:
    facts = " ".join(
        f"{name}={_one_line(str(value))}"
        for name, value in record["extra"].items()
        if name != "line" and value not in ("", None)
    )
    stamp = record["time"].strftime("%H:%M:%S.%f")[:-3]
    record["extra"]["line"] = f"{stamp} {record['level'].name:<7} {_one_line(record['message'])}" + (
        f"  {facts}" if facts else ""
    )
    return "{extra[line]}\n"


def _as_json(record: Record) -> str:
    facts = {name: value for name, value in record["extra"].items() if name != "line" and value not in ("", None)}
    line = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": record["message"],
        **facts,
    }
    record["extra"]["line"] = json.dumps(line, default=str)
    return "{extra[line]}\n"


def configure(settings: Log) -> None:
    """Send every log of this process to stderr as the settings say."""
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
        # They tell at INFO and WARNING what this program notices and tells itself.
        logging.getLogger(name).setLevel(logging.CRITICAL if settings.level != "DEBUG" else logging.INFO)
