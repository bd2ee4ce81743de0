"""What the pages are made of, without a browser."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Event, Outcome
from controller.domain.timeline import Moment, moments
from controller.ops.web.drain_groups import chips_of, groups_of
from controller.ops.web.markup import environment, state, words
from controller.ops.web.timeline_chart import MAX_ROWS, picture
from tests.unit.building import a_reason, a_target, at
from tests.unit.shutdowns import an_end, an_event, begun, out, record_of, short_by

NOW = datetime(2026, 1, 31, 22, tzinfo=UTC)
NOTHING_GIVEN = {"since": "", "until": "", "region": "", "app": "", "namespace": "", "pod": "", "state": [], "id": []}
HOSTILE = '"><img src=x onerror=window.hacked=1>\u202e\x1b[31m'


def record(number: int, outcome: Outcome, **fields: str) -> DrainRecord:
    event = Event(
        event_id=f"e{number}",
        drain_id=f"d{number}",
        at=NOW - timedelta(minutes=number),
        since_at=NOW - timedelta(minutes=number, seconds=1),
        cluster="c",
        namespace=fields.get("namespace", "shop"),
        pod=fields.get("pod", f"pod-{number}"),
        uid="u",
        ip="10.0.0.1",
        region="eu",
        cause=Cause.terminating,
        outcome=outcome,
        app=fields.get("app", "ORDERS"),
        instance_id=fields.get("id", "i"),
        reason=a_reason(fields.get("reason", "because")),
    )
    found = new_record(event)
    found.apply(event, timeline=True)
    return found


def moment(after: float | None, **fields: object) -> Moment:
    length = None if after is None else timedelta(seconds=after)
    return Moment(at=NOW, what="something", after=length, **fields)  # type: ignore[arg-type]


def test_what_did_not_happen_stands_first_and_is_cut_off_last() -> None:
    records = [
        record(9, Outcome.failed),
        record(4, Outcome.retrying),
        record(3, Outcome.removed),
        record(2, Outcome.removed),
        record(1, Outcome.requested),
    ]
    groups = groups_of(records, limit=4)
    assert [(group.title, group.count, [one.drain_id for one in group.drains]) for group in groups] == [
        ("Needs attention", 1, ["d9"]),
        ("Under way", 2, ["d1", "d4"]),
        ("Done", 2, ["d2"]),
    ]


def test_every_state_is_in_one_group() -> None:
    found = groups_of([record(number, outcome) for number, outcome in enumerate(Outcome)])
    assert sum(group.count for group in found) == len(Outcome)


def test_a_chip_chooses_or_clears_its_state_and_keeps_the_other_filters() -> None:
    counts = Counter({Outcome.removed: 3, Outcome.failed: 1})
    given = {**NOTHING_GIVEN, "app": "a&b", "state": ["failed"]}
    failed, removed = chips_of(counts, given)
    assert (failed.state, failed.chosen, failed.href) == (Outcome.failed, True, "/?app=a%26b")
    assert (removed.state, removed.chosen, removed.href) == (Outcome.removed, False, "/?app=a%26b&state=removed")


def test_a_chosen_state_that_no_drain_is_in_can_be_let_go_of() -> None:
    [chip] = chips_of(Counter(), {**NOTHING_GIVEN, "state": ["failed"]})
    assert (chip.count, chip.chosen, chip.href) == (0, True, "/?")


def test_the_first_second_is_as_wide_as_the_minutes_after_it() -> None:
    drawn = picture([moment(0), moment(0.02), moment(1), moment(300)])
    assert drawn is not None
    places = [point.x for point in drawn.points]
    assert places == sorted(places)
    assert 3 <= places[0] < places[1] < 15
    assert 35 < places[2] < 65
    assert places[3] == pytest.approx(97)


def test_no_two_moments_share_a_row_and_the_middle_of_many_is_omitted() -> None:
    drawn = picture([moment(number) for number in range(100)])
    assert drawn is not None
    assert len({point.y for point in drawn.points}) == len(drawn.points) == MAX_ROWS
    assert drawn.left_out == 100 - MAX_ROWS
    assert [drawn.points[0].number, drawn.points[-1].number] == [1, 100]
    gaps = [right - left for (left, _), (right, _) in zip(drawn.ticks, drawn.ticks[1:], strict=False)]
    assert min(gaps) >= 9


def test_clocks_that_disagree_and_unknown_beginnings_can_be_drawn() -> None:
    drawn = picture([moment(-0.5), moment(0)])
    assert drawn is not None
    assert [point.x for point in drawn.points] == [3.0, 3.0]
    assert picture([moment(None)]) is None
    assert picture([]) is None


def test_a_request_is_a_stage_and_a_retry_is_a_state() -> None:
    assert state(moment(1, outcome=Outcome.requested)) is None
    assert state(Moment(at=NOW, what="retrying", outcome=Outcome.retrying)) is Outcome.retrying
    assert state(moment(1, outcome=Outcome.failed)) is Outcome.failed


@pytest.mark.parametrize("outcome", Outcome)
def test_each_state_has_a_sign_beside_its_name(outcome: Outcome) -> None:
    shown = drains(groups=groups_of([record(1, outcome)]), count=1)
    assert re.search(rf'class="state {outcome}"><span class="sign"[^>]*>[^<]+</span>', shown)
    assert words(outcome) in read(shown)


def drains(**facts: object) -> str:
    """The list of drains as it is rendered."""
    given = {
        "groups": [],
        "count": 0,
        "left_out": 0,
        "chips": [],
        "total": 0,
        "all_href": "/?",
        "problem": "",
        "is_read": True,
        "since": NOW - timedelta(days=1),
        "until": None,
        "is_filtered": False,
        "given": NOTHING_GIVEN,
        "wider_href": "/?since=7d",
        "replay_query": "since=1d",
        "every": 10,
        "now": NOW,
        **facts,
    }
    return environment().get_template("_drains.html").render(given)


def test_a_log_that_is_still_read_is_no_empty_log() -> None:
    reading = drains(is_read=False, every=2)
    assert "Reading the event log" in reading
    assert "No drains" not in reading
    assert "No drains since" in " ".join(drains().split())


def test_what_is_omitted_is_counted() -> None:
    shown = drains(groups=groups_of([record(1, Outcome.removed)]), count=301, left_out=300)
    assert "300 more are not shown" in shown


def test_names_from_outside_are_text_without_control_characters() -> None:
    named = record(1, Outcome.failed, namespace=HOSTILE, pod=HOSTILE, app=HOSTILE, id=HOSTILE, reason=HOSTILE)
    named.requested_by = HOSTILE
    named.drain_id = f"../{HOSTILE}/x"
    shown = drains(groups=groups_of([named]), count=1)
    assert "<img" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert 'href="/drains/..%2F%22%3E%3Cimg' in shown


def test_a_command_to_paste_cannot_be_made_to_run_another() -> None:
    text = environment().from_string("{{ id|shell }}").render(id="x; rm -rf ~ #\n")
    assert text == "&#39;x; rm -rf ~ #?&#39;"


SHORT, GRACEFUL, SERVING = (
    record_of(begun(), out(), an_end(1)),
    record_of(begun(), out(), an_end(96)),
    record_of(begun(), out()),
)
UNSEEN = record_of(begun(), out(), an_end(None))
GIVEN_UP = record_of(begun(), an_event(Outcome.failed, 60, target=a_target(), reason=a_reason("HTTP 403")), an_end(3))


def shutdown_cell(one: DrainRecord, *, now: float = 30) -> str:
    """What the list's column holds."""
    shown = drains(groups=groups_of([one]), count=1, now=at(now))
    [cell] = re.findall(r'<td data-label="Shutdown">(.*?)</td>', shown, re.DOTALL)
    return " ".join(cell.split())


def read(markup: str) -> str:
    """The same without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


@pytest.mark.parametrize(
    ("one", "name", "words"),
    [
        (SHORT, "not_graceful", "✗ not graceful, 95 s short it has no preStop hook"),
        (GRACEFUL, "graceful", "✓ graceful"),
        (UNSEEN, "not_judged", "– not judged"),
        (GIVEN_UP, "not_graceful", "✗ not graceful it ended while callers were still given it"),
    ],
)
def test_the_list_shows_a_shutdown_with_a_sign_words_and_its_reason(one: DrainRecord, name: str, words: str) -> None:
    cell = shutdown_cell(one)
    assert f'class="shutdown {name}"' in cell
    assert read(cell) == words


def test_the_list_shows_from_when_on_a_pod_may_end_while_it_serves() -> None:
    cell = shutdown_cell(SERVING)
    assert 'datetime="2025-06-01T12:01:35' in cell
    assert read(cell).startswith("safe after ")
    assert read(shutdown_cell(SERVING, now=96)) == "–"
    assert read(shutdown_cell(record_of(begun()))) == "–"


def page_of(one: DrainRecord, *, now: float = 30) -> str:
    """One drain's page, as it is rendered."""
    shown = moments(one, at(now))
    facts = {"record": one, "moments": shown, "picture": picture(shown), "every": 0, "now": at(now)}
    return " ".join(environment().get_template("_drain.html").render(facts).split())


def test_a_drains_page_shows_its_shutdown_its_workload_and_its_end() -> None:
    text = read(page_of(SHORT))
    assert re.search(r"Shutdown ✗ not graceful, 95 s short :? ?it has no preStop hook", text)
    assert "Workload deployment orders" in text
    assert "ended serving not graceful, 95 s short; it has no preStop hook" in text
    waiting = read(page_of(SERVING))
    assert "Shutdown safe after" in waiting
    assert "safe after (to come) by what callers have cached" in waiting
    assert "Workload" not in waiting


def test_a_workload_and_a_reason_that_are_markup_are_text() -> None:
    hostile = record_of(begun(), out(), an_end(1, kind=HOSTILE, workload=HOSTILE, why=HOSTILE))
    for shown in (page_of(hostile), shutdown_cell(hostile), shutdown_cell(short_by(94, why=HOSTILE))):
        assert "not graceful" in shown
        assert "<img" not in shown
        assert "\u202e" not in shown
        assert "\x1b" not in shown
