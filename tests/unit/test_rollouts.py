"""Drains as rollouts: which pods belong together, how each of them ended, and what is said of that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Outcome, make_event
from controller.domain.pods import Owner
from controller.domain.rollouts import rollouts_of
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import ShutdownVerdict
from controller.ops.answers import json_text
from controller.ops.rollout_answers import rollout_answer
from controller.ops.rollout_tables import rollouts_text
from tests.unit.building import a_command, a_pod, a_target, at

OLD, NEW = "7c9d8f6b5", "5d4c8f7b6"
WINDOW = 60.0


def a_record(
    name: str, began: float, *, ended: float | None = None, template: str = OLD, region: str = "eu", **facts: Any
) -> DrainRecord:
    """A drain of a Deployment's pod, out three seconds after it began to go."""
    owner = Owner(api_version="apps/v1", kind="ReplicaSet", name=f"orders-{template}", uid="owner")
    pod = a_pod(f"uid-{name}", name=name, owner=owner)
    usual = {"drain_id": f"{name} {region}", "region": region, "since_at": at(began), "observed_at": at(began)}
    command = a_command(pod, **{**usual, **facts})
    record = new_record(requested := make_event(command, Outcome.requested, at(began)))
    out = make_event(command, Outcome.out_of_service, at(began + 3), target=a_target(), safe_at=at(began + WINDOW))
    for event in (requested, out):
        record.apply(event, timeline=False)
    if ended is not None:
        record.end = an_end(record, ended, template)
    return record


def an_end(record: DrainRecord, ended: float, template: str, **facts: Any) -> PodEnd:
    usual = {"kind": "Deployment", "workload": "orders", "template": template, "why": "its hook was over"}
    return PodEnd(
        cluster=record.cluster,
        drain_ids=(record.drain_id,),
        namespace=record.namespace,
        pod=record.pod,
        uid=record.uid,
        at=at(ended),
        ended_at=at(ended),
        **{**usual, **facts},
    )


def names(records: list[DrainRecord]) -> list[list[str]]:
    return [[drains[0].pod for drains in one.drains_by_pod.values()] for one in rollouts_of(records)]


def test_a_revisions_pods_that_went_one_after_the_other_are_one_rollout() -> None:
    records = [a_record("orders-b", 100, ended=170), a_record("orders-a", 0, ended=70), a_record("orders-c", 200)]
    [rollout] = rollouts_of(records)
    assert names(records) == [["orders-a", "orders-b", "orders-c"]]
    assert (rollout.namespace, rollout.kind, rollout.workload, rollout.revision) == (
        "shop",
        "Deployment",
        "orders",
        OLD,
    )
    assert rollout.apps == ("ORDERS",)
    assert rollout.verdicts == {ShutdownVerdict.graceful: 2, ShutdownVerdict.pending: 1}
    assert (rollout.ended_at, rollout.took) == (None, None), "one is still there"


def test_it_took_from_the_first_deletion_to_the_last_end() -> None:
    [rollout] = rollouts_of([a_record("orders-a", 0, ended=170), a_record("orders-b", 100, ended=165)])
    assert rollout.took == timedelta(seconds=170)
    assert rollout.ended_at == at(170)


def test_another_revision_and_a_long_pause_begin_another_rollout() -> None:
    records = [
        a_record("orders-a", 0, ended=70),
        a_record("orders-n", 10, ended=90, template=NEW),
        a_record("orders-b", 20, ended=90),
        a_record("orders-c", 20 + 31 * 60),
        a_record("stock-a", 20, ended=90),
    ]
    records[-1].end = replace(an_end(records[-1], 90, OLD), workload="stock")
    assert names(records) == [["orders-a", "orders-b"], ["orders-n"], ["stock-a"], ["orders-c"]]


def test_a_pod_of_two_regions_ends_once_with_the_worse_verdict() -> None:
    early = a_record("orders-a", 0, ended=50)
    other = a_record("orders-a", 0, ended=50, region="us")
    other.parts.clear()
    [rollout] = rollouts_of([early, other])
    [shutdown] = rollout.shutdowns
    assert shutdown.verdict is ShutdownVerdict.not_graceful
    assert rollout.longest_short_seconds == 10
    assert [one.region for one in rollout.drains] == ["eu", "us"]


def test_a_revision_that_only_the_end_tells_joins_the_pods_that_still_go() -> None:
    owner = Owner(api_version="apps/v1", kind="StatefulSet", name="ledger", uid="owner")
    going, gone = a_record("ledger-1", 30), a_record("ledger-2", 0, ended=70)
    for record in (going, gone):
        assert record.facts is not None
        record.facts = replace(record.facts, owner=owner)
    gone.end = an_end(gone, 70, "ledger-5f7c", kind="StatefulSet", workload="ledger")
    [rollout] = rollouts_of([going, gone])
    assert (rollout.kind, rollout.workload, rollout.revision) == ("StatefulSet", "ledger", "ledger-5f7c")


def test_what_a_person_takes_out_by_hand_is_no_rollout() -> None:
    assert rollouts_of([a_record("orders-a", 0, cause=Cause.asked)]) == []


def test_the_text_says_how_many_ended_how_and_each_pods_end() -> None:
    records = [a_record("orders-a", 0, ended=70), a_record("orders-b", 10, ended=20)]
    text = rollouts_text(rollouts_of(records), at(300), width=None)
    assert text.splitlines() == [
        f"2025-06-01 12:00:00Z  shop/deployment/orders revision {OLD}: 2 pods in 1 min 10 s;"
        " 1 graceful, 1 not graceful (the worst 50 s short)",
        "  POD       STATE           REGION  OUT AFTER  SHUTDOWN    WHY",
        "  orders-a  out_of_service  eu      3 s        graceful    -",
        "  orders-b  out_of_service  eu      3 s        50 s short  its hook was over",
    ]


def test_programs_read_the_same_numbers() -> None:
    [rollout] = rollouts_of([a_record("orders-a", 0, ended=70), a_record("orders-b", 10, ended=20)])
    answer = rollout_answer(rollout, at(300))
    assert (answer.graceful, answer.not_graceful, answer.pending, answer.not_judged) == (1, 1, 0, 0)
    assert (answer.seconds, answer.longest_short_seconds) == (70.0, 50)
    assert [(one.pod, one.shutdown, one.short_seconds) for one in answer.pods] == [
        ("orders-a", ShutdownVerdict.graceful, None),
        ("orders-b", ShutdownVerdict.not_graceful, 50),
    ]
    assert '"revision": "7c9d8f6b5"' in json_text(answer)
