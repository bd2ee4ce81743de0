"""One line an event, whatever is in it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

from controller.logs import configure
from controller.settings import LogSettings

HOSTILE = [
    "{",
    "{}",
    "{0}",
    "{extra}",
    "{secret.__class__}",
    "a\nb",
    "a\r\nb",
    "\x1b[31mred\x1b[0m",
    "a\x00b",
    "\x85\u2028\u2029",
    "\u202egnirts",
    "<red>x</red>",
    "\\<red>",
    "%s %d",
    '"quoted" \\ ',
    "\ud800",
    "日本",
]


class Output:
    """What the process has written since it was last asked."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def lines(self) -> list[str]:
        text = self._read()
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]

    def line(self) -> str:
        [line] = self.lines()
        assert line.isprintable()
        return line


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("aiormq", "aio_pika", "aiohttp.access", "asyncio")}
    yield Output(lambda: capsys.readouterr().err)
    logger.remove()
    logger.add(sys.__stderr__ or sys.stderr)
    root.handlers[:] = before
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)


def set_up(style: Literal["text", "json"], level: Literal["DEBUG", "INFO"] = "INFO") -> None:
    configure(LogSettings(format=style, level=level))


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
@pytest.mark.parametrize("style", ["text", "json"])
def test_a_hostile_fact_makes_exactly_one_line(output: Output, style: Literal["text", "json"], text: str) -> None:
    set_up(style)
    logger.bind(pod=text, reason=text).warning("drain refused")
    line = output.line()
    assert "drain refused" in line
    if style == "json":
        assert json.loads(line)["pod"] == text


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
@pytest.mark.parametrize("style", ["text", "json"])
def test_a_librarys_hostile_message_makes_exactly_one_line(
    output: Output, style: Literal["text", "json"], text: str
) -> None:
    set_up(style)
    logging.getLogger("some.library").warning(text)
    line = output.line()
    assert "some.library" in line
    if style == "json":
        assert json.loads(line)["message"] == text


@given(st.text(max_size=30), st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@pytest.mark.parametrize("style", ["text", "json"])
def test_any_text_makes_exactly_one_line(
    output: Output, style: Literal["text", "json"], fact: str, message: str
) -> None:
    set_up(style)
    logger.bind(pod=fact).info("{}", message)
    line = output.line()
    if style == "json":
        assert json.loads(line)["message"] == message


def test_a_json_line_has_time_level_message_and_facts(output: Output) -> None:
    set_up("json")
    logger.bind(drain="d", attempt=2, region="").error("not confirmed")
    line: dict[str, Any] = json.loads(output.line())
    assert line.pop("time")
    assert line == {"level": "ERROR", "message": "not confirmed", "drain": "d", "attempt": 2}


def test_what_is_below_the_level_is_not_written(output: Output) -> None:
    set_up("text")
    logger.debug("quiet")
    logging.getLogger("some.library").debug("quiet")
    assert output.lines() == []


def test_chatty_libraries_are_excluded(output: Output) -> None:
    set_up("text")
    for name in ("aiormq.connection", "aio_pika.robust_connection", "aiohttp.access"):
        logging.getLogger(name).warning("noise")
    assert output.lines() == []


def fail() -> None:
    password = "c4narY"
    raise LookupError("lost" + password[:0])


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_never_shows_local_variables(output: Output, style: Literal["text", "json"]) -> None:
    set_up(style, "DEBUG")
    try:
        fail()
    except LookupError:
        logger.exception("cannot go on")
        logging.getLogger("some.library").exception("failed")
    assert "c4narY" not in "\n".join(output.lines())


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("by", ["ours", "a library's"])
def test_an_exception_that_is_logged_can_be_found_in_the_log(
    output: Output, style: Literal["text", "json"], by: str
) -> None:
    # At DEBUG whoever looks for a mistake needs at least its kind, its text and where it was raised.
    set_up(style, "DEBUG")
    try:
        fail()
    except LookupError as error:
        if by == "ours":
            logger.opt(exception=error).debug("ended by {}", "something")
        else:
            logging.getLogger("some.library").exception("failed")
    text = "\n".join(output.lines())
    assert "LookupError" in text
    assert "lost" in text
    assert "test_logs.py" in text


def test_a_librarys_own_broken_log_call_does_not_raise_where_it_was_called(output: Output) -> None:
    set_up("text")
    logging.getLogger("some.library").warning("%d pods", "three")
    logger.info("and goes on")
    assert "and goes on" in output.lines()[-1]
