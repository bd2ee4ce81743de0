"""How drained pods left, as a process with `ops` counts it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Outcome, make_event
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.ops.metrics import Metrics
from controller.ops.metrics.shutdown_metrics import MAX_WORKLOADS, OTHER
from tests.unit.building import a_command, a_target, at
from tests.unit.test_metrics import shown

LEFT = "eureka_drain_shutdowns_total"
SHORT = "eureka_drain_shutdown_short_seconds_total"
WINDOW = timedelta(seconds=95)


def a_story(outcome: Outcome = Outcome.out_of_service, **facts: object) -> DrainRecord:
    """Of a pod that was out at 1 s, if at all, and ended at 2 s."""
    command = a_command()
    end: dict[str, object] = {
        "kind": "Deployment",
        "workload": "orders",
        "ended_at": at(2),
        "end_cause": EndCause.no_hook,
    }
    history = DrainIndex()
    safe_at = at(1) + WINDOW if outcome is Outcome.out_of_service else None
    history.apply(make_event(command, outcome, at(1), target=a_target(), safe_at=safe_at))
    [record] = history.apply_end(
        PodEnd(
            cluster=command.cluster,
            drain_ids=(command.drain_id,),
            namespace=command.pod.namespace,
            pod=command.pod.name,
            uid=command.pod.uid,
            at=at(3),
            **(end | facts),  # type: ignore[arg-type]
        )
    )
    return record


def counted(*records: DrainRecord) -> dict[tuple[str, ...], float]:
    """What is shown after these; labels in the order of their names."""
    metrics = Metrics(ops=True)
    for record in records:
        metrics.judged(record, shutdown_of(record))
    return {labels: value for labels, value in shown(metrics).items() if labels[0] in (LEFT, SHORT)}


def test_what_ended_too_early_is_counted_by_workload_with_its_reason_and_what_was_missing() -> None:
    assert counted(a_story(), a_story(ended_at=at(6))) == {
        (LEFT, "not_graceful", "no_hook", "shop/deployment/orders"): 2,
        (SHORT, "shop/deployment/orders"): 94 + 90,
    }


def test_what_was_graceful_has_no_reason_and_misses_nothing() -> None:
    assert counted(a_story(ended_at=at(100), end_cause=EndCause.hook)) == {
        (LEFT, "graceful", "", "shop/deployment/orders"): 1
    }


@pytest.mark.parametrize(
    ("outcome", "facts", "grace", "reason"),
    [
        (Outcome.not_registered, {}, ShutdownVerdict.unjudged, "not_registered"),
        (Outcome.refused, {}, ShutdownVerdict.unjudged, "refused"),
        (Outcome.superseded, {}, ShutdownVerdict.unjudged, "superseded"),
        (Outcome.requested, {"ended_at": None, "end_cause": EndCause.unknown}, ShutdownVerdict.unjudged, "requested"),
        (
            Outcome.out_of_service,
            {"ended_at": None, "end_cause": EndCause.unknown},
            ShutdownVerdict.unjudged,
            "unknown",
        ),
        (Outcome.failed, {}, ShutdownVerdict.not_graceful, "failed"),
    ],
)
def test_what_is_not_to_be_mended_at_the_pod_has_a_reason_of_its_own(
    outcome: Outcome, facts: dict[str, object], grace: ShutdownVerdict, reason: str
) -> None:
    record = a_story(outcome, **facts)
    assert counted(record) == {(LEFT, grace.name, reason, "shop/deployment/orders"): 1}


def test_whoever_makes_up_workloads_without_number_makes_no_more_series_than_are_bounded() -> None:
    records = [a_story(kind="Job", workload=f"made-up-{number}") for number in range(MAX_WORKLOADS + 50)]
    left = {labels[-1]: value for labels, value in counted(*records).items() if labels[0] == LEFT}
    assert len(left) == MAX_WORKLOADS + 1
    assert left[OTHER] == 50


def test_only_ops_counts_them() -> None:
    metrics = Metrics(regions=["eu"], watch=True, work=["eu"])
    metrics.judged(a_story(), shutdown_of(a_story()))
    assert not [labels for labels in shown(metrics) if labels[0].startswith("eureka_drain_shutdowns")]


def test_pods_of_nobody_share_one_series_for_their_names_do_not_come_again() -> None:
    records = [a_story(kind="Pod", workload=f"run-{number}") for number in range(3)]
    left = {labels[-1]: value for labels, value in counted(*records).items() if labels[0] == LEFT}
    assert left == {"shop/pod/(bare)": 3}
