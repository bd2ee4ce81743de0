"""Shutdown verdicts as a process with `ops` counts them."""

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

SHUTDOWNS = "eureka_drain_shutdowns_total"
SHORT = "eureka_drain_shutdown_short_seconds_total"
WINDOW = timedelta(seconds=95)


def a_record(outcome: Outcome = Outcome.out_of_service, **facts: object) -> DrainRecord:
    """Of a pod that was out at 1 s, if at all, and ended at 2 s."""
    command = a_command()
    end: dict[str, object] = {
        "kind": "Deployment",
        "workload": "orders",
        "ended_at": at(2),
        "end_cause": EndCause.no_hook,
    }
    index = DrainIndex()
    safe_at = at(1) + WINDOW if outcome is Outcome.out_of_service else None
    index.apply(make_event(command, outcome, at(1), target=a_target(), safe_at=safe_at))
    [record] = index.apply_end(
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
        metrics.shut_down(record, shutdown_of(record))
    return {labels: value for labels, value in shown(metrics).items() if labels[0] in (SHUTDOWNS, SHORT)}


def test_an_early_end_is_counted_with_its_reason_and_what_was_missing() -> None:
    assert counted(a_record(), a_record(ended_at=at(6))) == {
        (SHUTDOWNS, "no_hook", "not_graceful", "shop/deployment/orders"): 2,
        (SHORT, "shop/deployment/orders"): 94 + 90,
    }


def test_what_was_graceful_has_no_reason_and_misses_nothing() -> None:
    assert counted(a_record(ended_at=at(100), end_cause=EndCause.hook)) == {
        (SHUTDOWNS, "", "graceful", "shop/deployment/orders"): 1
    }


@pytest.mark.parametrize(
    ("outcome", "facts", "verdict", "reason"),
    [
        (Outcome.not_registered, {}, ShutdownVerdict.not_judged, "not_registered"),
        (Outcome.refused, {}, ShutdownVerdict.not_judged, "refused"),
        (Outcome.superseded, {}, ShutdownVerdict.not_judged, "superseded"),
        (Outcome.requested, {"ended_at": None, "end_cause": EndCause.unknown}, ShutdownVerdict.not_judged, "requested"),
        (
            Outcome.out_of_service,
            {"ended_at": None, "end_cause": EndCause.unknown},
            ShutdownVerdict.not_judged,
            "unknown",
        ),
        (Outcome.failed, {}, ShutdownVerdict.not_graceful, "failed"),
    ],
)
def test_what_cannot_be_fixed_at_the_pod_has_a_reason_of_its_own(
    outcome: Outcome, facts: dict[str, object], verdict: ShutdownVerdict, reason: str
) -> None:
    record = a_record(outcome, **facts)
    assert counted(record) == {(SHUTDOWNS, reason, verdict, "shop/deployment/orders"): 1}


def test_workloads_without_number_make_a_bounded_number_of_series() -> None:
    records = [a_record(kind="Job", workload=f"made-up-{number}") for number in range(MAX_WORKLOADS + 50)]
    found = {labels[-1]: value for labels, value in counted(*records).items() if labels[0] == SHUTDOWNS}
    assert len(found) == MAX_WORKLOADS + 1
    assert found[OTHER] == 50


def test_only_ops_counts_them() -> None:
    metrics = Metrics(regions=["eu"], watch=True, work=["eu"])
    metrics.shut_down(a_record(), shutdown_of(a_record()))
    assert not [labels for labels in shown(metrics) if labels[0].startswith("eureka_drain_shutdowns")]


def test_pods_without_an_owner_share_one_series() -> None:
    records = [a_record(kind="Pod", workload=f"run-{number}") for number in range(3)]
    found = {labels[-1]: value for labels, value in counted(*records).items() if labels[0] == SHUTDOWNS}
    assert found == {"shop/pod/(bare)": 3}
