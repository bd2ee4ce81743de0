"""What the headline counts and what it reports as wrong, on records made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.headline.calls import Call, Kind
from tests.headline.record import Leaving, Rollout
from tests.headline.variants import PER_SECOND, VARIANTS, Variant
from tests.headline.verdict import Figures, Spread, judge

NODES = ("eu-0", "eu-1")
NOTHING, COPIED, DRAINED, TUNED = VARIANTS
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
REFUSED = "java.net.ConnectException: Connection refused"

Statuses = list[tuple[float, str | None]]
"""Seconds since the beginning, and what a node shows from then on. Pods are deleted at 10, SIGTERM is at 105."""
OUT: Statuses = [(10.2, "OUT_OF_SERVICE"), (106, None)]


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def call(seconds: float, instance: str = "a", outcome: str = "200", took: float = 0.01) -> Call:
    begun = round(1000 * at(seconds).timestamp())
    return Call(begun, begun + round(1000 * took), instance, outcome)


def leaving(*records: Statuses, name: str = "a") -> Leaving:
    """With a list of statuses for each node; one list alone is shown by all nodes."""
    made = Leaving(f"uid-{name}", f"pod-{name}", name, deleted_at=at(10))
    made.sigterm_at, made.exited_at, made.gone_at = at(105), at(107), at(108)
    for node, record in zip(NODES, records * (len(NODES) if len(records) == 1 else 1), strict=True):
        for seconds, status in record:
            made.apply(node, status, at(seconds))
    return made


def figures(
    calls: Sequence[Call], *instances: Leaving, variant: Variant = DRAINED, until: float = 0, rollouts: int = 1
) -> Figures:
    """Up to `until`, which is soon enough for a few calls to be all that were due."""
    rolled = [Rollout(variant.key, number + 1, at(5), list(instances)) for number in range(rollouts)]
    return judge(variant, rolled, calls, NODES, BEGIN, at(until))


def long_enough(*more: Call) -> list[Call]:
    """One call each 20 ms for two minutes, to somebody who stays, and some more."""
    return [call(number / PER_SECOND, "stays") for number in range(120 * PER_SECOND)] + list(more)


def test_a_drained_instance_called_until_its_windows_end_loses_nothing() -> None:
    found = figures(long_enough(call(70.5)), leaving(OUT), until=120)
    assert found.problems == ()
    assert (found.rollouts, found.calls, found.all_lost, found.share_lost) == (1, 6001, 0, 0)
    assert found.took == Spread(1, 103, 103, 103)
    assert found.stale.most == pytest.approx(60.3)
    assert found.beyond_the_copied_sleep == 1


def test_calls_count_from_the_first_restart_to_the_end_by_when_they_began() -> None:
    calls = [call(-0.1), call(0), call(2, took=60), call(10), call(10.1)]
    assert figures(calls, until=10).calls == 3


def test_losses_are_counted_by_kind_and_one_of_ours_is_wrong() -> None:
    calls = long_enough(call(20, outcome=REFUSED), call(21, outcome=REFUSED), call(22, outcome="503"))
    found = figures(calls, leaving(OUT), until=120)
    assert found.lost == {Kind.REFUSED: 2, Kind.FAILED: 1}
    assert found.share_lost == pytest.approx(3 / 6003)
    assert found.problems == ("drained: 3 of 6003 calls were lost: 2 connection refused, 1 answered with 5xx",)


def test_a_loss_belongs_to_the_restart_before_it() -> None:
    rolled = [Rollout("nothing", number, at(seconds), []) for number, seconds in ((1, 5), (2, 50))]
    lost = [call(seconds, outcome=REFUSED) for seconds in (1, 6, 49, 51)]
    found = judge(NOTHING, rolled, [call(2), *lost], NODES, BEGIN, at(60))
    assert (found.all_lost, found.lost_in_one) == (4, Spread(2, 1, 1.5, 2))


def test_losses_of_the_others_are_figures_and_no_fault() -> None:
    for variant in (NOTHING, COPIED):
        found = figures(long_enough(call(20, outcome=REFUSED)), leaving([(12, None)]), variant=variant, until=120)
        assert (found.all_lost, found.problems) == (1, ())


def test_staleness_counts_from_the_later_node() -> None:
    later: Statuses = [(9, "UP"), (10.9, "OUT_OF_SERVICE")]
    assert figures([call(20.9)], leaving(OUT, later)).stale.most == pytest.approx(10)


def test_staleness_counts_from_the_last_time_that_a_node_showed_up() -> None:
    again: Statuses = [(10, "OUT_OF_SERVICE"), (12, "UP"), (14, "OUT_OF_SERVICE"), (20, None)]
    assert figures([call(24)], leaving(OUT, again)).stale.most == pytest.approx(10)


def test_a_lost_call_shows_that_the_instance_was_still_known() -> None:
    assert figures([call(50.2, outcome=REFUSED)], leaving(OUT)).stale.most == pytest.approx(40)


def test_an_instance_that_was_not_called_afterwards_was_stale_for_no_time() -> None:
    assert figures([call(8)], leaving(OUT)).stale == Spread(1, 0, 0, 0)


def test_what_is_not_known_is_no_sample() -> None:
    never_called, still_up = leaving(OUT, name="b"), leaving([(10, "UP")])
    assert figures([call(20)], never_called, still_up).stale.count == 0
    assert math.isnan(figures([]).stale.middle)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (([],), "was not seen OUT_OF_SERVICE at every node"),
        (([(10, "UP")],), "was not seen OUT_OF_SERVICE at every node"),
        (([(10, "UP"), (106, "DOWN"), (107, None)],), "was not seen OUT_OF_SERVICE at every node"),
        ((OUT, [(10, "UP"), (106, None)]), "was not seen OUT_OF_SERVICE at every node"),
        ((OUT, [(10, "UP"), (105.5, "OUT_OF_SERVICE")]), "got its SIGTERM before it was OUT_OF_SERVICE at every node"),
        ((OUT, [*OUT[:1], (107, "UP")]), "was not seen OUT_OF_SERVICE at every node"),
    ],
)
def test_a_drained_instance_that_was_not_taken_out_in_time_is_wrong(records: tuple[Statuses, ...], words: str) -> None:
    assert figures(long_enough(), leaving(*records), until=120).problems == (f"drained, round 1: a {words}",)
    assert figures(long_enough(), leaving(*records), variant=NOTHING, until=120).problems == ()


def test_a_rollout_that_did_not_end_is_wrong_and_took_no_time() -> None:
    stays = leaving(OUT)
    stays.gone_at = None
    found = figures(long_enough(), stays, until=120)
    assert found.problems == ("drained, round 1: the old pods were not all gone",)
    assert found.took.count == 0


def test_a_caller_that_was_held_up_is_wrong() -> None:
    found = figures(long_enough()[:5000], until=120, rollouts=0)
    assert found.problems == ("drained: its caller made only 5000 of 6000 calls",)


def test_the_slowest_call_is_an_answered_one() -> None:
    assert figures([call(0, took=3), call(0, took=9, outcome=REFUSED)]).slowest == 3
