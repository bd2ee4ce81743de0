"""The metrics page: what each role shows, what is counted, and the table of it in docs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.events import CODES, Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.domain.region_state import NodeState, QueueState, RegionState
from controller.domain.sweep_report import MAX_REPORTS, LatestSweeps, SweepReport
from controller.ops.metrics import Metrics
from tests.metrics_page import measures, rendered
from tests.unit.building import NOON, a_command, a_target, at

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
QUEUE = QueueState(messages=3, consumers=2)
NODE = NodeState(node="http://eureka-0:8761/eureka", reachable=True)


def shown(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by name and the values of its labels, the region first."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        (
            one.name,
            *(one.labels[name] for name in sorted(one.labels, key=lambda name: (name != "region", name))),
        ): one.value
        for one in samples
    }


def names(metrics: Metrics) -> set[str]:
    """The metrics of which something is shown."""
    return {name for name, *_ in shown(metrics)}


def a_state(**facts: object) -> RegionState:
    usual = RegionState(region="eu", looked_at=NOON, work=QUEUE, dead=replace(QUEUE, messages=1), nodes=(NODE,))
    return replace(usual, **facts)  # type: ignore[arg-type]


def test_the_table_in_docs_is_made_from_the_code() -> None:
    assert PAGE.read_text() == rendered(), "run: make docs"


@pytest.mark.parametrize("measure", measures(), ids=lambda measure: measure.name)
def test_names_and_help_texts_follow_the_rules(measure: object) -> None:
    one = next(found for found in measures() if found == measure)
    assert re.fullmatch(r"eureka_drain(_[a-z]+)+", one.name)
    assert (one.type == "counter") == one.name.endswith("_total")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|age)$", one.name), "base units"
    assert one.help.endswith(f" From {one.shown_by}."), "a help text ends with the roles that give it"


def test_each_role_shows_only_what_it_sets() -> None:
    watch, work, ops = Metrics(watch=True), Metrics(work=["eu"]), Metrics(ops=True)
    assert {"eureka_drain_publish_backlog", "eureka_drain_watch_silent_seconds"} <= names(watch)
    assert not {name for name in names(work) | names(ops) if "watch" in name or "backlog" in name}
    for process in (watch, work, ops):
        process.surveyed(a_state())
    assert {"eureka_drain_dead_letters", "eureka_drain_queue_consumers"} <= names(ops)
    assert not {name for name in names(watch) | names(work) if "queue" in name or "node" in name}
    assert "eureka_drain_out_of_service_seconds_count" in names(work) - names(watch) - names(ops)
    everything = Metrics(watch=True, work=["eu"], ops=True)
    everything.surveyed(a_state())
    assert names(everything) == names(watch) | names(work) | names(ops)


def test_a_worker_shows_every_outcome_and_reason_before_the_first() -> None:
    samples = shown(Metrics(work=["eu", "us"]))
    for region in ("eu", "us"):
        for outcome in Outcome:
            assert samples["eureka_drain_events_total", region, outcome] == 0
        for outcome, codes in CODES.items():
            for code in codes:
                assert samples["eureka_drain_not_drained_total", region, outcome, code] == 0


def test_events_are_counted_by_region_outcome_and_code_of_the_reason() -> None:
    metrics = Metrics(regions=["eu"], work=["eu"])
    ambiguous = Reason(code=ReasonCode.ambiguous, detail="the id also lives in app 'X'")
    metrics.recorded(make_event(a_command(), Outcome.refused, at(1), reason=ambiguous))
    metrics.recorded(make_event(a_command(), Outcome.restored, at(1)))
    samples = shown(metrics)
    assert samples["eureka_drain_events_total", "eu", "refused"] == 1
    assert samples["eureka_drain_events_total", "eu", "restored"] == 1
    assert samples["eureka_drain_not_drained_total", "eu", "refused", "ambiguous"] == 1
    assert sum(value for (name, *_), value in samples.items() if name == "eureka_drain_not_drained_total") == 1


def test_a_failure_without_a_reason_is_counted_as_other() -> None:
    metrics = Metrics(regions=["eu"], work=["eu"])
    metrics.recorded(make_event(a_command(), Outcome.failed, at(1)))
    assert shown(metrics)["eureka_drain_not_drained_total", "eu", "failed", "other"] == 1


def test_a_region_that_a_pod_has_made_up_is_no_label() -> None:
    metrics = Metrics(regions=["eu"], watch=True)
    for number in range(50):
        metrics.recorded(make_event(a_command(region=f"made-up-{number}"), Outcome.requested, NOON))
    no_region = Reason(code=ReasonCode.invalid_annotation, detail="annotation eureka.drain/region=''")
    metrics.recorded(make_event(a_command(region=""), Outcome.refused, NOON, reason=no_region))
    samples = shown(metrics)
    assert samples["eureka_drain_events_total", "(other)", "requested"] == 50
    assert samples["eureka_drain_not_drained_total", "(none)", "refused", "invalid_annotation"] == 1
    assert {labels[0] for name, *labels in samples if name == "eureka_drain_events_total"} == {"(other)", "(none)"}


def test_the_time_to_out_of_service_runs_from_the_pods_end() -> None:
    metrics = Metrics(work=["eu"])
    metrics.recorded(make_event(a_command(), Outcome.out_of_service, at(0.7), target=a_target()))
    samples = shown(metrics)
    assert samples["eureka_drain_out_of_service_seconds_sum", "eu"] == pytest.approx(0.7)
    assert samples["eureka_drain_out_of_service_seconds_bucket", "eu", "0.5"] == 0
    assert samples["eureka_drain_out_of_service_seconds_bucket", "eu", "1.0"] == 1


def test_a_replay_of_yesterdays_drain_is_not_a_slow_drain() -> None:
    metrics = Metrics(work=["eu"])
    asked: DrainCommand = a_command(requested_by="ann", requested_at=at(86_400))
    metrics.recorded(make_event(asked, Outcome.out_of_service, at(86_401), target=a_target()))
    assert shown(metrics)["eureka_drain_out_of_service_seconds_count", "eu"] == 0
    assert shown(metrics)["eureka_drain_events_total", "eu", "out_of_service"] == 1


def test_what_can_no_longer_be_counted_is_no_longer_shown() -> None:
    metrics = Metrics(ops=True)
    metrics.surveyed(a_state())
    assert shown(metrics)["eureka_drain_queue_consumers", "eu"] == 2
    assert shown(metrics)["eureka_drain_dead_letters", "eu"] == 1
    metrics.surveyed(a_state(work=None, dead=None))
    assert not {"eureka_drain_queue_consumers", "eureka_drain_queue_messages", "eureka_drain_dead_letters"} & names(
        metrics
    )
    assert shown(metrics)["eureka_drain_node_reachable", "eu", NODE.node] == 1


def test_the_newest_sweep_is_shown_without_numbers_it_could_not_have() -> None:
    metrics = Metrics(ops=True)
    sweeps = LatestSweeps(metrics)
    sweeps.apply(SweepReport(cluster="test", region="eu", at=at(70), silent=3, doubtful=1))
    sweeps.apply(SweepReport(cluster="test", region="eu", at=at(10), silent=9))
    assert shown(metrics)["eureka_drain_sweep_silent", "eu", "test"] == 3
    assert shown(metrics)["eureka_drain_sweep_doubtful", "eu", "test"] == 1
    sweeps.apply(SweepReport(cluster="test", region="eu", at=at(900), incomplete="no answer"))
    assert not {"eureka_drain_sweep_silent", "eureka_drain_sweep_doubtful"} & names(metrics)
    assert shown(metrics)["eureka_drain_sweep_timestamp_seconds", "eu", "test"] == at(70).timestamp()


def test_a_sweep_that_drains_leaves_nothing_and_too_many_are_not_shown() -> None:
    metrics = Metrics(ops=True)
    sweeps = LatestSweeps(metrics)
    for number in range(MAX_REPORTS + 1):
        sweeps.apply(SweepReport(cluster="test", region=f"eu-{number}", at=at(70), silent=3, drained=True))
    samples = shown(metrics)
    assert samples["eureka_drain_sweep_silent", f"eu-{MAX_REPORTS}", "test"] == 0
    assert sum(name == "eureka_drain_sweep_silent" for name, *_ in samples) == len(sweeps.all()) == MAX_REPORTS
    assert ("eureka_drain_sweep_silent", "eu-0", "test") not in samples


def test_a_regions_nodes_are_shown_one_by_one_and_for_how_long_they_differ() -> None:
    metrics = Metrics(ops=True)
    silent = NodeState(node="http://eureka-1:8761/eureka", reachable=False, detail="no answer in time")
    metrics.surveyed(a_state(nodes=(NODE, silent), differ_since=at(-95)))
    samples = shown(metrics)
    assert samples["eureka_drain_node_reachable", "eu", silent.node] == 0
    assert samples["eureka_drain_nodes_differ_seconds", "eu"] == 95
    metrics.surveyed(a_state())
    assert shown(metrics)["eureka_drain_nodes_differ_seconds", "eu"] == 0


def test_checks_and_silence_are_asked_for_at_each_scrape() -> None:
    metrics = Metrics(watch=True)
    passing, silence = True, timedelta(seconds=2)
    metrics.readiness({"watch live": lambda: passing})
    metrics.watch_silence(lambda: silence)
    assert shown(metrics)["eureka_drain_ready", "watch live"] == 1
    assert shown(metrics)[("eureka_drain_watch_silent_seconds",)] == 2
    passing, silence = False, timedelta(seconds=61)
    assert shown(metrics)["eureka_drain_ready", "watch live"] == 0
    assert shown(metrics)[("eureka_drain_watch_silent_seconds",)] == 61


def test_a_watch_shows_its_commands_and_what_it_holds() -> None:
    metrics = Metrics(watch=True)
    metrics.published(Cause.vanished)
    metrics.tracked(120, 7)
    samples = shown(metrics)
    assert samples["eureka_drain_commands_published_total", "vanished"] == 1
    assert samples["eureka_drain_commands_published_total", "terminating"] == 0
    assert samples[("eureka_drain_watched_pods",)] == 120
    assert samples[("eureka_drain_publish_backlog",)] == 7


def test_the_page_holds_no_times_of_creation() -> None:
    assert not [name for name in names(Metrics(watch=True, work=["eu"], ops=True)) if name.endswith("_created")]
