"""A quiet first minute: what is waited for is no warning, until that lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from loguru import logger

from controller.errors import BrokerError, PartsMissingError, StreamMissingError
from controller.rabbit.trouble_log import WAITING, WARN_AFTER, TroubleLog, is_missing
from tests.fakes.virtual_time import in_virtual_time

NOT_YET = [StreamMissingError("no stream"), PartsMissingError(["drain.events"], "refused")]
NOT_UP = "not up"
Lines = list[tuple[str, str, str]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    found: Lines = []

    def keep(message: object) -> None:
        record = message.record  # type: ignore[attr-defined]
        found.append((record["level"].name, record["message"], record["extra"]["error"]))

    number = logger.add(keep, level="DEBUG")
    yield found
    logger.remove(number)


@pytest.mark.parametrize("error", NOT_YET, ids=lambda error: type(error).__name__)
@in_virtual_time
async def test_what_is_not_declared_yet_is_noted_once_and_a_warning_if_it_lasts(
    lines: Lines, error: BrokerError
) -> None:
    log = TroubleLog(NOT_UP, repeats=True)
    for _ in range(8):
        log.note(error, str(error))
        await asyncio.sleep(WARN_AFTER / 10)
    assert lines == [("INFO", WAITING, str(error))]
    for _ in range(8):
        log.note(error, str(error))
        await asyncio.sleep(WARN_AFTER / 10)
    assert lines == [("INFO", WAITING, str(error)), ("WARNING", NOT_UP, str(error))]


@in_virtual_time
async def test_what_was_there_and_is_missing_now_is_warned_of_at_once(lines: Lines) -> None:
    log = TroubleLog(NOT_UP)
    log.over()
    for _ in range(3):
        log.note(NOT_YET[1], "deleted")
    assert lines == [("WARNING", NOT_UP, "deleted")]


@pytest.mark.parametrize("repeats", [True, False])
@in_virtual_time
async def test_other_trouble_is_warned_of_at_once(lines: Lines, repeats: bool) -> None:
    log = TroubleLog(NOT_UP, repeats=repeats)
    for text in ("refused", "refused", "denied"):
        log.note(BrokerError(text), text)
    assert [text for _, _, text in lines] == (["refused"] * 2 if repeats else ["refused"]) + ["denied"]
    assert {level for level, _, _ in lines} == {"WARNING"}


def test_what_an_error_comes_from_shows_that_something_is_missing() -> None:
    outer = BrokerError("not declared")
    assert not is_missing(outer)
    outer.__cause__ = NOT_YET[0]
    assert is_missing(outer)
