"""Every threat in docs/threat-model.md has a control, and every control a test that is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from controller.domain.candidates import MAX_INSTANCES
from controller.flows.pod_events import MIN_INTERVAL
from controller.ops.auth.decision_cache import ALLOWED_TTL
from controller.ops.auth.headers import MAX_BODY_BYTES, REQUEST_TIMEOUT
from controller.ops.auth.token_rate import MAX_PEER_TOKENS, PEER_TOKENS_PER_SECOND
from controller.ops.port.connections import (
    HEAD_TIMEOUT,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_PEER,
    MAX_HEAD_BYTES,
    MAX_HELD_BYTES,
    WRITE_TIMEOUT,
)

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
HEAD = ("threat", "control", "shown by")


def tables(text: str) -> list[list[tuple[str, ...]]]:
    """Return each table's rows, its head first, without the line below it."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [
        [
            tuple(cell.strip() for cell in row.strip("|").split(" | "))
            for row in block.splitlines()
            if "|---|" not in row
        ]
        for block in blocks
    ]


ROWS = [row for table in tables(TEXT) for row in table[1:]]


def named(cell: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", cell)


@cache
def written_in(path: str) -> frozenset[str]:
    """Return the tests in a file; none where there is no file."""
    file = ROOT / path
    text = file.read_text() if file.is_file() else ""
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))


def missing(row: tuple[str, ...]) -> list[str]:
    """Return what a row lacks."""
    lacks = [f"its {name}" for name, cell in zip(HEAD, row, strict=False) if len(cell.strip("| ")) < 5]
    tests = named(row[-1])
    if len(row) != len(HEAD) or not tests:
        lacks.append("a test")
    return lacks + [f"{path}::{name}" for path, name in tests if name not in written_in(path)]


def test_every_table_has_the_same_head_and_something_in_it() -> None:
    found = tables(TEXT)
    assert len(found) > 5
    assert {table[0] for table in found} == {HEAD}
    assert all(len(table) > 3 for table in found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_every_threat_has_a_control_and_a_test_that_exists(row: tuple[str, ...]) -> None:
    assert missing(row) == []


def test_no_threat_stands_twice_and_nothing_else_names_a_test() -> None:
    assert len({row[0] for row in ROWS}) == len(ROWS)
    assert len(re.findall(r"::test_", TEXT)) == sum(len(named(row[-1])) for row in ROWS)


def test_a_row_without_a_test_or_with_one_that_is_gone_would_be_noticed() -> None:
    here = "`tests/unit/test_threat_model.py::test_its_numbers_are_the_programs`"
    assert missing(("a threat", "a control", here)) == []
    assert missing(("a threat", "a control", "none")) == ["its shown by", "a test"]
    assert missing(("a threat", "a control")) == ["a test"]
    gone = "tests/unit/test_threat_model.py::test_that_was_renamed"
    assert missing(("a threat", "a control", f"{here}, `{gone}`")) == [gone]
    assert missing(("a threat", "", here)) == ["its control"]


def test_its_numbers_are_the_programs() -> None:
    assert f"more than {MAX_INSTANCES} instances of one pod" in TEXT
    assert f"{1 / MIN_INTERVAL.total_seconds():.0f} a second" in TEXT
    assert f"forgotten after {ALLOWED_TTL.seconds} s" in TEXT
    assert f"{REQUEST_TIMEOUT:.0f} s a request, {MAX_BODY_BYTES // 1024} KiB a body" in TEXT
    assert f"{MAX_CONNECTIONS}, and {MAX_CONNECTIONS_PER_PEER} of one address" in TEXT
    assert f"{MAX_HEAD_BYTES // 1024} KiB and {HEAD_TIMEOUT:.0f} s for a request's headers" in TEXT
    assert f"{MAX_HELD_BYTES // 1024**2} MiB for all connections together" in TEXT
    assert f"cut after {WRITE_TIMEOUT:.0f} s" in TEXT
    assert f"{MAX_PEER_TOKENS} unknown ones of one address, then {PEER_TOKENS_PER_SECOND:.0f} a second" in TEXT
