"""How drained pods left, as a process with `ops` counts it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.domain.events import Outcome, tell
from controller.domain.history import History
from controller.domain.leave import Grace, leave_of
from controller.domain.pod_end import Cut, PodEnd
from controller.domain.story import Story
from controller.ops.metrics import Metrics
from controller.ops.metrics.leaves import MOST_WORKLOADS, OTHER
from tests.unit.building import a_command, a_target, at
from tests.unit.test_metrics import shown

LEFT = "eureka_drain_pods_left_total"
SHORT = "eureka_drain_pods_left_short_seconds_total"
WINDOW = timedelta(seconds=95)


def a_story(outcome: Outcome = Outcome.out_of_service, **facts: object) -> Story:
    """Of a pod that was out at 1 s, if at all, and ended at 2 s."""
    command = a_command()
    end: dict[str, object] = {"kind": "Deployment", "workload": "orders", "ended_at": at(2), "cut": Cut.no_hook}
    history = History()
    safe_at = at(1) + WINDOW if outcome is Outcome.out_of_service else None
    history.note(tell(command, outcome, at(1), target=a_target(), safe_at=safe_at))
    [story] = history.note_end(
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
    return story


def counted(*stories: Story) -> dict[tuple[str, ...], float]:
    """What is shown after these; labels in the order of their names."""
    metrics = Metrics(ops=True)
    for story in stories:
        metrics.judged(story, leave_of(story))
    return {labels: value for labels, value in shown(metrics).items() if labels[0] in (LEFT, SHORT)}


def test_what_ended_too_early_is_counted_by_workload_with_its_reason_and_what_was_missing() -> None:
    assert counted(a_story(), a_story(ended_at=at(6))) == {
        (LEFT, "not_graceful", "no_hook", "shop/deployment/orders"): 2,
        (SHORT, "shop/deployment/orders"): 94 + 90,
    }


def test_what_was_graceful_has_no_reason_and_misses_nothing() -> None:
    assert counted(a_story(ended_at=at(100), cut=Cut.hook)) == {(LEFT, "graceful", "", "shop/deployment/orders"): 1}


@pytest.mark.parametrize(
    ("outcome", "facts", "grace", "reason"),
    [
        (Outcome.not_registered, {}, Grace.unjudged, "not_registered"),
        (Outcome.refused, {}, Grace.unjudged, "refused"),
        (Outcome.superseded, {}, Grace.unjudged, "superseded"),
        (Outcome.requested, {"ended_at": None, "cut": Cut.unknown}, Grace.unjudged, "requested"),
        (Outcome.out_of_service, {"ended_at": None, "cut": Cut.unknown}, Grace.unjudged, "unknown"),
        (Outcome.failed, {}, Grace.not_graceful, "failed"),
    ],
)
def test_what_is_not_to_be_mended_at_the_pod_has_a_reason_of_its_own(
    outcome: Outcome, facts: dict[str, object], grace: Grace, reason: str
) -> None:
    story = a_story(outcome, **facts)
    assert counted(story) == {(LEFT, grace.name, reason, "shop/deployment/orders"): 1}


def test_whoever_makes_up_workloads_without_number_makes_no_more_series_than_are_bounded() -> None:
    stories = [a_story(kind="Job", workload=f"made-up-{number}") for number in range(MOST_WORKLOADS + 50)]
    left = {labels[-1]: value for labels, value in counted(*stories).items() if labels[0] == LEFT}
    assert len(left) == MOST_WORKLOADS + 1
    assert left[OTHER] == 50


def test_only_ops_counts_them() -> None:
    metrics = Metrics(regions=["eu"], watch=True, work=["eu"])
    metrics.judged(a_story(), leave_of(a_story()))
    assert not [labels for labels in shown(metrics) if labels[0].startswith("eureka_drain_pods_left")]


def test_pods_of_nobody_share_one_series_for_their_names_do_not_come_again() -> None:
    stories = [a_story(kind="Pod", workload=f"run-{number}") for number in range(3)]
    left = {labels[-1]: value for labels, value in counted(*stories).items() if labels[0] == LEFT}
    assert left == {"shop/pod/(bare)": 3}
