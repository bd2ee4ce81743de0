"""How often Python looks for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from controller.app.garbage import look_rarely


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_the_program_is_made_of_is_looked_through_no_more() -> None:
    usual = gc.get_threshold()
    look_rarely()
    assert gc.get_freeze_count() > 10_000
    assert gc.isenabled(), "what dies in a circle is still found"
    assert gc.get_threshold()[0] > usual[0]
