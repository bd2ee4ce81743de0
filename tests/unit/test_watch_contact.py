"""Until when a watch has seen everything."""

from __future__ import annotations

from controller.domain.watch_contact import CATCH_UP, MAX_SILENCE, WatchContact
from tests.unit.building import at


def test_what_comes_without_a_gap_is_new() -> None:
    contact = WatchContact()
    assert contact.listed(at(0)) is None
    for second in (1, 11, 26):
        assert contact.heard(at(second)) is None
    assert contact.seen_until == at(26)


def test_what_comes_right_after_a_gap_may_be_as_old_as_the_gap() -> None:
    contact = WatchContact()
    contact.listed(at(0))
    back = MAX_SILENCE.total_seconds() + 1
    assert contact.heard(at(back)) == at(0)
    assert contact.heard(at(back + 1)) == at(0)
    assert contact.heard(at(back) + CATCH_UP) is None


def test_a_list_after_a_gap_shows_the_present() -> None:
    contact = WatchContact()
    contact.listed(at(0))
    assert contact.heard(at(100)) == at(0)
    assert contact.listed(at(101)) == at(100)
    assert contact.heard(at(101.5)) is None
