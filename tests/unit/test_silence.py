"""When the time that has passed proves that nobody heartbeats, and when it proves nothing."""

from __future__ import annotations

import pytest

from controller.domain.instances import Condition, Reading
from controller.domain.silence import unless_unheard
from tests.unit.building import a_target, an_instance, at

SHOWN = Reading(node="a", condition=Condition.out, instance=an_instance())
ABSENT = Reading(node="b", condition=Condition.absent)
AWAY = Reading(node="c", condition=Condition.unreachable, detail="connection refused")


@pytest.mark.parametrize(
    ("readings", "is_kept"),
    [
        ((SHOWN,), True),
        ((SHOWN, AWAY), True),
        ((ABSENT, AWAY), True),
        ((AWAY,), False),
        ((AWAY, Reading(node="d", condition=Condition.failing), Reading(node="e", condition=Condition.denied)), False),
    ],
)
def test_silence_counts_only_while_some_node_answers(readings: tuple[Reading, ...], is_kept: bool) -> None:
    target = a_target(silent_since=at(0), due_at=at(100))
    assert unless_unheard(target, readings, at(100), unheard_at=None).silent_since == (at(0) if is_kept else None)


@pytest.mark.parametrize(("late", "is_kept"), [(0, True), (300, True), (301, False), (86_400, False)])
def test_silence_counts_only_where_somebody_has_looked(late: float, is_kept: bool) -> None:
    target = a_target(silent_since=at(0), due_at=at(100))
    heard = unless_unheard(target, (SHOWN,), at(100 + late), unheard_at=None)
    assert heard.silent_since == (at(0) if is_kept else None)


@pytest.mark.parametrize(("unheard", "is_kept"), [(None, True), (-1, True), (0, False), (50, False)])
def test_silence_does_not_count_across_a_time_without_any_node(unheard: float | None, is_kept: bool) -> None:
    target = a_target(silent_since=at(0), due_at=at(100))
    heard = unless_unheard(target, (SHOWN,), at(100), unheard_at=None if unheard is None else at(unheard))
    assert heard.silent_since == (at(0) if is_kept else None)
