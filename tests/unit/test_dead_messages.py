"""Which dead letters a filter chooses."""

from __future__ import annotations

import pytest

from controller.domain.dead_messages import DeadMessage
from controller.domain.reason import ReasonCode
from controller.domain.selection import select
from tests.unit.building import NOON, a_command

DENIED = DeadMessage(number=1, region="eu", reason="HTTP 403", reason_code=ReasonCode.denied, item=a_command())
UNREADABLE = DeadMessage(number=2, region="eu", reason="no JSON", reason_code=ReasonCode.invalid_message, problem="odd")
BY_THE_BROKER = DeadMessage(number=3, region="eu", reason="delivered too often", item=a_command())


@pytest.mark.parametrize(
    ("codes", "numbers"),
    [("", [1, 2, 3]), ("denied", [1]), ("denied,invalid_message", [1, 2]), ("unreachable", [])],
)
def test_the_reason_code_chooses_dead_letters(codes: str, numbers: list[int]) -> None:
    selection = select({"reason_code": codes, "region": "eu"}, NOON)
    assert [one.number for one in (DENIED, UNREADABLE, BY_THE_BROKER) if one.fits(selection)] == numbers
