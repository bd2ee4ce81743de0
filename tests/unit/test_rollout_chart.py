"""Where a rollout's picture puts its pods, and what it leaves out."""

from __future__ import annotations

import pytest

from controller.domain.arrivals import Arrival
from controller.domain.drain_record import DrainRecord
from controller.domain.rollouts import Rollout, rollouts_of
from controller.ops.web.rollout_chart import MARGIN, MAX_LANES, MAX_TICKS, MAX_TREND, WIDTH, rollout_picture, trends_of
from tests.unit.building import at
from tests.unit.test_rollouts import NEW, OLD, WINDOW, a_record


def the_rollout(*records: DrainRecord) -> Rollout:
    (rollout,) = rollouts_of(records)
    return rollout


def test_a_pod_that_served_long_enough_lacks_nothing() -> None:
    picture = rollout_picture(the_rollout(a_record("orders-a", 0, ended=100)), at(200))
    (lane,) = picture.lanes
    assert (lane.begin, lane.end, lane.is_there, lane.lacks) == (MARGIN, MARGIN + WIDTH, False, False)
    assert lane.out == pytest.approx(MARGIN + WIDTH * 0.03, abs=0.01)
    assert lane.safe == pytest.approx(MARGIN + WIDTH * WINDOW / 100, abs=0.01)
    assert picture.ticks[0] == (MARGIN, "0 s")


def test_what_a_pod_should_have_served_is_drawn_beyond_its_end() -> None:
    (lane,) = rollout_picture(the_rollout(a_record("orders-a", 0, ended=15)), at(200)).lanes
    assert lane.lacks
    assert lane.end == pytest.approx(MARGIN + WIDTH * 15 / WINDOW, abs=0.01)
    assert lane.safe == MARGIN + WIDTH, "the picture ends where the last thing does"


def test_a_pod_that_is_still_there_reaches_until_now() -> None:
    picture = rollout_picture(the_rollout(a_record("orders-a", 0, ended=70), a_record("orders-b", 20)), at(40))
    first, second = picture.lanes
    assert (first.is_there, second.is_there) == (False, True)
    assert second.begin < second.end < first.end
    assert second.safe == MARGIN + WIDTH
    assert (first.label, second.label) == ("orders-a".removeprefix("orders-"), "b")


def test_of_too_many_pods_those_that_fell_short_are_drawn_in_their_order() -> None:
    pods = [a_record(f"p{number}", number, ended=number + 100) for number in range(MAX_LANES + 5)]
    short = a_record("short", 500, ended=501)
    picture = rollout_picture(the_rollout(*pods, short), at(900))
    assert (len(picture.lanes), picture.left_out) == (MAX_LANES, 6)
    assert picture.lanes[-1].record.pod == "short"
    assert [lane.number for lane in picture.lanes] == list(range(1, MAX_LANES + 1))


@pytest.mark.parametrize("seconds", [1, 7, 59, 61, 900, 86_400, 700_000])
def test_the_scale_has_few_labels_whatever_it_spans(seconds: float) -> None:
    ticks = rollout_picture(the_rollout(a_record("orders-a", 0, ended=seconds)), at(seconds)).ticks
    assert 1 <= len(ticks) <= MAX_TICKS + 1
    assert len({label for _, label in ticks}) == len(ticks)
    assert all(MARGIN <= x <= MARGIN + WIDTH for x, _ in ticks)


def test_a_trend_is_of_workloads_with_several_rollouts_and_of_the_newest() -> None:
    records = [a_record(f"p{n}", n * 86_400, ended=n * 86_400 + 100) for n in range(MAX_TREND + 2)]
    (trend,) = trends_of(rollouts_of(records))
    assert trend.name == "shop/deployment/orders"
    assert len(trend.rollouts) == MAX_TREND
    assert trend.rollouts[-1].began_at == at((MAX_TREND + 1) * 86_400)
    assert trends_of(rollouts_of([a_record("a", 0, ended=9), a_record("b", 9, ended=20, template=OLD)])) == []
    both = rollouts_of([a_record("a", 0, ended=9), a_record("b", 10, ended=20, template=NEW)])
    assert [len(one.rollouts) for one in trends_of(both)] == [2]


def test_what_came_up_stands_above_the_lanes_where_the_scale_has_it() -> None:
    arrival = Arrival(app="ORDERS", id="new", registered_at=None, up_at=None)
    alone = rollout_picture(the_rollout(a_record("orders-a", 0, ended=100)), at(200))
    with_both = rollout_picture(
        the_rollout(a_record("orders-a", 0, ended=100)), at(200), [(at(-30), arrival), (at(50), arrival)]
    )
    assert [one.x for one in with_both.arrivals] == [MARGIN, MARGIN + WIDTH / 2]
    assert with_both.lanes[0].y > alone.lanes[0].y
    assert with_both.height > alone.height
    late = rollout_picture(the_rollout(a_record("orders-a", 0, ended=100)), at(400), [(at(300), arrival)])
    assert [one.x for one in late.arrivals] == [MARGIN + WIDTH], "the picture ends where the last thing does"
