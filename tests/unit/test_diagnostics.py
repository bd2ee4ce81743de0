"""How doctor rates its findings: each severity, with its fix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controller.domain.diagnostics import (
    Severity,
    check_clock,
    check_matches,
    check_peers,
    differing,
    named,
    read_http_date,
    unlisted,
)
from tests.unit.building import NOON, an_instance

HERE = "localhost:8761"


def clock(ahead: float, *, took: float = 0.0) -> Severity:
    begun_at = NOON
    shown_at = begun_at + timedelta(seconds=ahead)
    return check_clock("region eu", "a node", shown_at, begun_at, begun_at + timedelta(seconds=took)).severity


@pytest.mark.parametrize(
    ("ahead", "severity"),
    [
        (0, Severity.ok),
        (4, Severity.ok),
        (-5, Severity.ok),  # its seconds are cut off
        (10, Severity.advice),
        (-10, Severity.advice),
        (31, Severity.wrong),
        (-32, Severity.wrong),
        (86_400, Severity.wrong),
    ],
)
def test_a_clocks_severity_follows_what_ownership_allows_for(ahead: float, severity: Severity) -> None:
    assert clock(ahead) is severity


@pytest.mark.parametrize("ahead", [10, 40, -86_400])
def test_a_clock_whose_difference_is_made_up_for_is_advice(ahead: float) -> None:
    check = check_clock("a", "x", NOON + timedelta(seconds=ahead), NOON, NOON, is_corrected=True)
    assert check.severity is Severity.advice
    assert "made up for" in check.fix


def test_the_time_that_an_answer_took_is_no_skew() -> None:
    assert clock(20, took=20) is Severity.ok
    assert clock(20, took=0) is Severity.advice


def test_a_skew_is_reported_with_its_direction() -> None:
    ahead = check_clock("a", "x", NOON + timedelta(seconds=40), NOON, NOON)
    behind = check_clock("a", "x", NOON - timedelta(seconds=41), NOON, NOON)
    assert ahead.found == "40 s ahead of ours"
    assert behind.found == "40 s behind ours"
    assert "NTP" in ahead.fix


def test_an_answer_without_a_date_is_skipped() -> None:
    assert check_clock("a", "x", None, NOON, NOON).severity is Severity.skipped


@pytest.mark.parametrize("text", ["", "yesterday", "Wed, 99 Nov 2026 18:23:19 GMT", "\x00", "1" * 5_000])
def test_what_is_no_date_is_none(text: str) -> None:
    assert read_http_date(text) is None


def test_a_date_is_read_in_utc() -> None:
    assert read_http_date("Wed, 25 Nov 2026 18:23:19 GMT") == datetime(2026, 11, 25, 18, 23, 19, tzinfo=UTC)


def test_a_node_that_counts_itself_among_its_peers_is_wrong() -> None:
    check = check_peers("region eu", "http://localhost:8761/eureka", [HERE], ["other:8761", HERE], [])
    assert check.severity is Severity.wrong
    assert HERE in check.found
    assert "eureka.instance.hostname" in check.fix


def test_a_node_with_other_peers_is_in_order() -> None:
    check = check_peers("region eu", "http://localhost:8761/eureka", [HERE], ["other:8761"], [])
    assert (check.severity, check.found) == (Severity.ok, "other:8761")


def test_a_peer_that_a_node_does_not_see_is_reported() -> None:
    check = check_peers("region eu", "http://localhost:8761/eureka", [HERE], ["other:8761"], ["other:8761"])
    assert check.severity is Severity.advice
    assert "other:8761" in check.found


def test_peers_that_the_settings_do_not_name_are_found() -> None:
    assert unlisted({"a": ["b:1", "c:1"], "b": ["a:1"]}, ["a:1", "b:1"]) == ["c:1"]


def test_only_what_nodes_show_differently_is_reported() -> None:
    up, out = an_instance(id="i"), an_instance(id="i", status="OUT_OF_SERVICE")
    same = an_instance(id="same")
    place, others = (up.app, "i"), (same.app, "same")
    held = {"a": {place: up, others: same}, "b": {place: out, others: same}, "c": {others: same}}
    assert differing(held) == [(place, {"a": up.status, "b": "OUT_OF_SERVICE", "c": "absent"})]
    assert differing({"a": held["a"], "b": held["a"]}) == []


def test_of_many_names_a_few_are_listed_and_the_rest_counted() -> None:
    assert named(["a", "b"]) == "a, b"
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_matches_are_counted_and_each_reason_has_its_number_and_an_example() -> None:
    check = check_matches("region eu", 3, ["unknown", "odd", "unknown"], ["a/1", "a/2", "a/3"], 9)
    assert check.severity is Severity.ok
    assert check.found == "3 of 6; 2 unknown (such as a/1); 1 odd (such as a/2)"


def test_no_match_at_all_is_reported_where_others_are_registered() -> None:
    told = check_matches("r", 0, ["unknown"], ["a/1"], 9)
    assert told.severity is Severity.advice
    assert "although 9 instances are registered" in told.found
    assert check_matches("r", 0, ["unknown"], ["a/1"], 0).severity is Severity.ok
    assert check_matches("r", 0, [], [], 9).severity is Severity.skipped
    assert check_matches("r", 2, [], [], 9).found == "2 of 2"
