"""The matrix at the end of the run, and as a page where one is asked for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.matrix_page import Cell, page, table

CELLS = pytest.StashKey[list[Cell]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CELLS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not (cells := config.stash[CELLS]):
        return
    terminalreporter.section("matrix")
    for line in table(cells):
        terminalreporter.write_line(line)
    if file := os.environ.get("MATRIX_TABLE"):
        Path(file).write_text(page(cells))


@pytest.fixture
def note_cells(request: pytest.FixtureRequest) -> Callable[[list[Cell]], None]:
    """Puts cells into the matrix."""
    return request.config.stash[CELLS].extend
