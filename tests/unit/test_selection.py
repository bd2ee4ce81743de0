"""Filters as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Outcome, make_event
from controller.domain.selection import Selection, SelectionError, select
from tests.unit.building import NOON, a_command, a_reason, a_target, at


def a_record() -> DrainRecord:
    """``shop/orders-0`` in ``eu``: began at noon, out 60 s later."""
    out = make_event(a_command(drain_id="d1"), Outcome.out_of_service, at(60), target=a_target(), reason=a_reason())
    event = make_event(a_command(drain_id="d1"), Outcome.requested, NOON)
    record = new_record(event)
    record.apply(event, timeline=False)
    record.apply(out, timeline=False)
    return record


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"since": "2025-06-01T12:00:30Z"}, True),
        ({"since": "2025-06-01T12:01:01Z"}, False),
        ({"until": "2025-06-01T12:00:00Z"}, True),
        ({"until": "2025-06-01T11:59:59Z"}, False),
        ({"since": "2025-06-01T14:00:30+02:00", "until": "2025-06-01 12:00:40"}, True),
        ({"region": "eu"}, True),
        ({"region": "us"}, False),
        ({"app": "orders"}, True),
        ({"app": "ORDERS"}, True),
        ({"app": "order"}, False),
        ({"namespace": "shop"}, True),
        ({"namespace": "sho"}, False),
        ({"pod": "shop/orders-0"}, True),
        ({"pod": "shop/orders-*"}, True),
        ({"pod": "*/orders-0"}, True),
        ({"pod": "shop/order"}, False),
        ({"pod": "shop/orders-[1-9]"}, False),
        ({"state": ["out_of_service"]}, True),
        ({"state": ["failed,out_of_service"]}, True),
        ({"state": ["failed", "removed"]}, False),
        ({"reason_code": "unreachable, denied"}, True),
        ({"reason_code": ["denied"]}, False),
        ({"id": ["d1"]}, True),
        ({"id": ["d2, d1"]}, True),
        ({"id": ["d"]}, False),
        ({"region": "eu", "app": "orders", "state": ["removed"]}, False),
    ],
    ids=str,
)
def test_a_filter_chooses_what_it_names(filters: dict[str, Any], wanted: bool) -> None:
    assert select(filters, at(120)).wants(a_record()) is wanted


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "5"}, "since"),
        ({"since": "-5m"}, "since"),
        ({"until": "2025-13-01"}, "until"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until"),
        ({"pod": "orders-0"}, "pod"),
        ({"pod": "a/b/c"}, "pod"),
        ({"state": ["done"]}, "state"),
        ({"reason_code": "none"}, "reason_code"),
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_followed_is_named(filters: dict[str, Any], named: str) -> None:
    with pytest.raises(SelectionError, match=f"^{named}: "):
        select(filters, NOON)


def test_a_time_and_how_long_ago_it_was_are_both_read() -> None:
    assert select({"since": "2h", "until": "30m"}, NOON) == Selection(
        since=NOON - timedelta(hours=2), until=NOON - timedelta(minutes=30)
    )
    assert select({"since": "2025-01-31T22:00:00"}, NOON).since == datetime(2025, 1, 31, 22, tzinfo=UTC)


def test_what_is_longer_ago_than_any_log_is_cut_there() -> None:
    assert select({"since": "0001-01-01"}, NOON).since == NOON - timedelta(days=3650)


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.text(max_size=30) for name in ("since", "until", "region", "app", "namespace", "pod")}
    ),
    st.lists(st.text(max_size=20), max_size=3),
    st.lists(st.text(max_size=20), max_size=3),
)
def test_any_text_is_followed_or_named(filters: dict[str, str], states: list[str], ids: list[str]) -> None:
    try:
        selection = select({**filters, "state": states, "id": ids}, NOON)
    except SelectionError as error:
        problem = str(error)
    else:
        assert selection.wants(a_record()) in (True, False)
        return
    assert problem.partition(": ")[0] in {"since", "until", "pod", "state"}
    assert len(problem) < 400


@given(st.datetimes(timezones=st.timezones()))
def test_every_time_that_a_program_writes_can_be_read(when: datetime) -> None:
    try:
        in_utc = when.astimezone(UTC)
    except OverflowError:
        return
    assert select({"until": when.isoformat()}, NOON).until == max(in_utc, NOON - timedelta(days=3650))
