"""When a pod ended serving, and what ended it: from its deletion and from what its node reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.domain.causes import NODE_LOST
from controller.domain.kubernetes_events import MAX_MESSAGE_BYTES, shutdown_event
from controller.domain.shutdown.pod_details import Container, ContainerEnd, Exec, Hook, HttpGet, PodDetails, Sleep
from controller.domain.shutdown.pod_end import EndCause
from controller.domain.shutdown.serving_end import ServingEnd, serving_end
from controller.domain.shutdown.verdict import shutdown_of
from controller.kube.pod_decoder import decode_pod
from controller.kube.pod_details_decoder import details_of
from tests.unit.building import NOON, at, terminating
from tests.unit.shutdowns import shut_down
from tests.unit.test_pod_details_decoder import PODS
from tests.unit.windows import pod_details, shell


def an_end(seconds: float, name: str = "main", exit_code: int = 143, reason: str = "Error") -> ContainerEnd:
    return ContainerEnd(name=name, finished_at=at(seconds), exit_code=exit_code, reason=reason)


def deleted(
    hook: Hook = None,
    *more: Container,
    ends: Sequence[ContainerEnd] = (),
    own: int = 30,
    grace: int | None = None,
    **facts: Any,
) -> PodDetails:
    """A pod whose deletion was asked for at noon, with its own grace period unless another one was given."""
    pod = pod_details(hook, *more, grace=own, facts=facts, ends=tuple(ends))
    return replace(pod, pod=terminating(pod.pod, grace=own if grace is None else grace))


def ended(pod: PodDetails, *, removed: float | None = None) -> tuple[float, EndCause, str]:
    """Seconds after noon, and what ended it."""
    ending = serving_end(pod, removed_at=None if removed is None else at(removed))
    assert ending is not None
    return (ending.at - NOON).total_seconds(), ending.end_cause, ending.why


PROXY = Container(name="istio-proxy")
LOGS = Container(name="fluent-bit")
OTHER = Container(name="other", ports=(9090,))
NATIVE = Container(name="envoy", native_sidecar=True)
NO_HOOK = "it has no preStop hook"


def test_a_pod_that_serves_has_no_end_whether_it_is_going_or_not() -> None:
    assert serving_end(pod_details()) is None
    assert serving_end(deleted(Sleep(20))) is None


@pytest.mark.parametrize(
    ("pod", "end_cause", "why"),
    [
        (deleted(ends=[an_end(1)]), EndCause.no_hook, NO_HOOK),
        (deleted(Sleep(5), ends=[an_end(6)]), EndCause.hook, "its sleep hook waits 5 s"),
        (deleted(shell("sleep 5"), ends=[an_end(6)]), EndCause.hook, "its exec hook waits 5 s"),
        (deleted(Sleep(0), ends=[an_end(1)]), EndCause.hook, "its sleep hook waits for nothing"),
        (
            deleted(Sleep(95), ends=[an_end(32)]),
            EndCause.grace,
            "its sleep hook waits 95 s; its grace period is over after 30 s",
        ),
    ],
    ids=["no hook", "sleep", "exec", "empty sleep", "cut off"],
)
def test_an_ends_cause_follows_from_its_hook_and_its_grace_period(
    pod: PodDetails, end_cause: EndCause, why: str
) -> None:
    assert ended(pod) == ((pod.ends[0].finished_at - NOON).total_seconds(), end_cause, why)


@pytest.mark.parametrize(
    "hook",
    [Exec(("/stop.sh",)), HttpGet("/stop"), shell("./stop.sh && sleep 5")],
    ids=["a script", "a request", "a script, then a sleep"],
)
def test_a_hook_that_cannot_be_judged_is_reported_as_such(hook: Hook) -> None:
    seconds, end_cause, why = ended(deleted(hook, ends=[an_end(12)]))
    assert (seconds, end_cause) == (12, EndCause.hook)
    assert "cannot be judged" in why


def test_the_first_of_its_serving_containers_to_end_decides() -> None:
    slow = replace(OTHER, hook=Sleep(20))
    pod = deleted(Sleep(5), slow, ends=[an_end(21, "other"), an_end(6)])
    assert ended(pod) == (6, EndCause.hook, "its sleep hook waits 5 s")
    assert ended(replace(pod, ends=(an_end(6),))) == ended(pod), "the others are not waited for"


def test_known_sidecars_do_not_decide() -> None:
    pod = deleted(Sleep(5), PROXY, LOGS, ends=[an_end(1, "istio-proxy"), an_end(1, "fluent-bit")])
    assert serving_end(pod) is None
    assert ended(replace(pod, ends=(*pod.ends, an_end(6)))) == (6, EndCause.hook, "its sleep hook waits 5 s")


def test_a_pod_of_sidecars_alone_ends_serving_with_them() -> None:
    pod = deleted(ends=[an_end(2, "envoy")])
    assert ended(replace(pod, containers=(Container(name="envoy"),))) == (2, EndCause.no_hook, NO_HOOK)


def test_the_apps_port_shows_which_container_serves() -> None:
    pod = deleted(None, replace(OTHER, hook=Sleep(10)), ends=[an_end(1), an_end(11, "other")])
    assert ended(pod)[:2] == (1, EndCause.no_hook)
    named = replace(pod, pod=replace(pod.pod, annotations={"port": "9090"}))
    assert ended(named) == (11, EndCause.hook, "its sleep hook waits 10 s")
    broken = replace(pod, pod=replace(pod.pod, annotations={"port": "none"}))
    assert ended(broken) == ended(pod), "what cannot be read changes nothing"


def test_a_native_sidecar_counts_only_where_it_declares_the_port() -> None:
    ends = [an_end(6), an_end(7, "envoy", 0, "Completed")]
    assert ended(deleted(Sleep(5), NATIVE, ends=ends)) == (6, EndCause.hook, "its sleep hook waits 5 s")
    declaring = replace(NATIVE, ports=(9090,))
    pod = deleted(Sleep(5), declaring, ends=ends, annotations={"port": "9090"})
    assert ended(pod) == (7, EndCause.no_hook, "it ends after the others, which wait 5 s")


def test_a_container_that_had_crashed_before_does_not_decide() -> None:
    crashed = an_end(-60, "other", 1)
    pod = deleted(Sleep(5), OTHER, ends=[crashed])
    assert serving_end(pod) is None
    assert ended(replace(pod, ends=(crashed, an_end(6)))) == (6, EndCause.hook, "its sleep hook waits 5 s")
    assert ended(pod, removed=7) == (7, EndCause.no_hook, NO_HOOK), "the end of the other one was not reported"


def test_a_pod_that_had_ended_before_its_deletion_ended_with_its_last() -> None:
    pod = deleted(Sleep(5), OTHER, ends=[an_end(-60, "other", 1), an_end(-40, "main", 2)])
    assert ended(pod) == (-40, EndCause.by_itself, "main ended by itself (exit code 2)")


@pytest.mark.parametrize("before", [0.4, 0.999])
def test_an_end_in_the_second_before_its_deletion_came_after_it(before: float) -> None:
    assert ended(deleted(ends=[an_end(-before)]))[1] is EndCause.no_hook


def test_an_end_a_whole_second_before_its_deletion_was_by_itself() -> None:
    assert ended(deleted(ends=[an_end(-1, exit_code=0)])) == (
        -1,
        EndCause.by_itself,
        "it ended by itself (exit code 0)",
    )


@pytest.mark.parametrize(
    ("phase", "exit_code"),
    [("Succeeded", 0), ("Failed", 1)],
)
def test_a_pod_that_completed_or_failed_ended_by_itself(phase: str, exit_code: int) -> None:
    facts = {"phase": phase, "finished_at": at(-3)}
    pod = pod_details(facts=facts, ends=(an_end(-3, exit_code=exit_code),))
    assert ended(pod) == (-3, EndCause.by_itself, f"it ended by itself (exit code {exit_code})")
    assert ended(replace(pod, ends=())) == (-3, EndCause.by_itself, "it ended by itself"), "as a list has it"
    assert ended(replace(pod, ends=(), containers=())) == (-3, EndCause.by_itself, "it ended by itself")


def test_a_pod_that_ended_at_an_unknown_time_ends_with_its_removal() -> None:
    pod = pod_details(facts={"phase": "Failed"})
    assert serving_end(pod) is None
    assert ended(pod, removed=9)[0] == 9


def test_the_node_that_ended_a_pod_is_named() -> None:
    facts = {"phase": "Failed", "finished_at": at(-3), "disruption": "TerminationByKubelet"}
    pod = pod_details(Sleep(20), facts=facts, ends=(an_end(-3, exit_code=137),))
    assert ended(pod) == (-3, EndCause.killed, "its node ended it (TerminationByKubelet)")
    assert ended(replace(pod, ends=()))[1:] == (EndCause.killed, "its node ended it (TerminationByKubelet)")


@pytest.mark.parametrize("disruption", ["EvictionByEvictionAPI", "PreemptionByScheduler", "DeletionByTaintManager"])
def test_a_pod_that_was_evicted_ends_as_after_any_deletion(disruption: str) -> None:
    assert ended(deleted(ends=[an_end(1)], disruption=disruption)) == (1, EndCause.no_hook, NO_HOOK)
    early = ended(deleted(Sleep(20), ends=[an_end(3)], disruption=disruption))
    assert early == (3, EndCause.by_itself, "it ended by itself (exit code 143) after 3 s, while its hook was waiting")


def test_a_pod_that_ran_out_of_memory_was_killed_whatever_its_hook_is() -> None:
    killed = an_end(2, exit_code=137, reason="OOMKilled")
    assert ended(deleted(Sleep(20), ends=[killed])) == (2, EndCause.killed, "main was killed (OOMKilled)")


def test_a_pod_that_was_deleted_by_force_was_killed() -> None:
    forced = (4, EndCause.killed, "it was deleted by force, without a grace period")
    assert ended(deleted(Sleep(20), grace=0), removed=4) == forced
    assert ended(pod_details(Sleep(20)), removed=4) == forced, "without so much as a deletion's time"
    crashed = pod_details(Sleep(20), OTHER, ends=(an_end(-60, "other"),))
    assert ended(crashed, removed=4) == forced, "a container that had crashed long before does not count"


def test_a_pod_that_was_deleted_by_force_during_its_hook_was_killed() -> None:
    why = "it was deleted by force after 4 s of its grace period"
    assert ended(deleted(Sleep(20)), removed=4) == (4, EndCause.killed, why)
    assert ended(deleted(Sleep(20)), removed=-4)[1:] == (EndCause.killed, why.replace("4", "0")), (
        "by clocks that differ"
    )


def test_an_end_that_the_node_reports_is_no_deletion_by_force() -> None:
    # Nobody saw it going: the last state has no grace period, as the node's own deletion has none.
    assert ended(deleted(Sleep(5), ends=[an_end(6)], grace=0), removed=7) == (
        6,
        EndCause.hook,
        "its sleep hook waits 5 s",
    )
    assert ended(deleted(ends=[an_end(1)], grace=0), removed=2) == (1, EndCause.no_hook, NO_HOOK)


def test_a_shortened_grace_period_is_named_where_it_cut_a_hook_off() -> None:
    short = "it was deleted with a grace period of 1 s instead of its 100 s"
    for pod in (deleted(Sleep(95), own=100, grace=1), deleted(Exec(("/stop.sh",)), own=100, grace=1)):
        assert ended(replace(pod, ends=(an_end(3, exit_code=137),))) == (3, EndCause.grace, short)
        assert ended(pod, removed=3) == (3, EndCause.grace, short)


@pytest.mark.parametrize(
    ("hook", "end_cause", "why"), [(None, EndCause.no_hook, NO_HOOK), (Sleep(2), EndCause.hook, "waits 2 s")]
)
def test_a_shortened_grace_period_is_not_to_blame_where_it_cut_nothing(
    hook: Hook, end_cause: EndCause, why: str
) -> None:
    seconds, found, text = ended(deleted(hook, own=100, grace=5, ends=[an_end(2)]))
    assert (seconds, found) == (2, end_cause)
    assert text.endswith(why)


def test_a_grace_period_longer_than_its_own_lets_its_hook_wait_for_as_long() -> None:
    pod = deleted(Sleep(95), own=30, grace=200, ends=[an_end(96)])
    assert ended(pod) == (96, EndCause.hook, "its sleep hook waits 95 s")
    assert ended(replace(pod, ends=(an_end(50),)))[1] is EndCause.by_itself


@pytest.mark.parametrize(("seconds", "end_cause"), [(17, EndCause.by_itself), (18, EndCause.hook), (20, EndCause.hook)])
def test_what_ended_well_before_its_hook_was_over_ended_by_itself(seconds: float, end_cause: EndCause) -> None:
    assert ended(deleted(Sleep(20), ends=[an_end(seconds)]))[1] is end_cause


def test_with_several_containers_the_one_that_ended_by_itself_is_named() -> None:
    pod = deleted(Sleep(20), OTHER, ends=[an_end(3, exit_code=0)], own=60)
    assert ended(pod)[2] == "main ended by itself (exit code 0) after 3 s, while its hook was waiting"


def test_a_pod_without_reported_ends_ended_when_it_was_removed() -> None:
    assert ended(deleted(), removed=1.25) == (1.25, EndCause.no_hook, NO_HOOK)
    assert ended(deleted(Sleep(5)), removed=6.5) == (6.5, EndCause.hook, "its sleep hook waits 5 s")
    assert ended(replace(deleted(), containers=()), removed=3) == (3, EndCause.unknown, "")


def test_what_its_node_reported_goes_before_its_removal() -> None:
    assert ended(deleted(ends=[an_end(1)]), removed=8)[0] == 1


def test_whether_a_pod_on_a_lost_node_serves_is_not_known() -> None:
    pod = pod_details(None, OTHER, facts={"phase": "Unknown"}, ends=(an_end(-300, "other"),))
    assert serving_end(pod) is None
    deleted_with_its_node = pod_details(facts={"phase": "Failed", "disruption": "DeletionByPodGC"})
    assert serving_end(deleted_with_its_node, removed_at=at(1)) is None


def test_a_time_as_old_as_time_is_no_mistake_of_ours() -> None:
    pod = deleted(Sleep(20), ends=[an_end(1)])
    ancient = replace(pod, pod=replace(pod.pod, deletion_at=datetime.min.replace(tzinfo=UTC), grace_seconds=0))
    assert ended(ancient)[:2] == (1, EndCause.hook)


TIMES = st.sampled_from(
    ["2025-06-01T12:00:00Z", "2025-06-01T12:00:31Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", None]
)
STATUSES = st.lists(
    st.builds(
        lambda name, finished, code, reason, running: {
            "name": name,
            "state": {"running": {}}
            if running
            else {"terminated": {"finishedAt": finished, "exitCode": code, "reason": reason}},
        },
        st.integers(0, 3),
        TIMES,
        st.integers(-(2**31), 2**31 - 1),
        st.one_of(st.sampled_from(["Error", "OOMKilled", "\x1b[2J\n"]), st.text(max_size=9)),
        st.booleans(),
    ),
    max_size=4,
)
DELETIONS = st.one_of(st.none(), st.tuples(TIMES, st.sampled_from([0, 1, 30, 2**62, -1, -(2**62)])))
DISRUPTIONS = st.sampled_from(["", "TerminationByKubelet", "EvictionByEvictionAPI"])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(PODS, STATUSES, DELETIONS, DISRUPTIONS, st.booleans())
def test_the_end_of_any_pod_can_be_reported_or_is_none(
    pod: dict[str, Any],
    statuses: list[dict[str, Any]],
    deletion: tuple[str | None, int] | None,
    why: str,
    removed: bool,
) -> None:
    containers = [*pod["spec"]["containers"], *(pod["spec"]["initContainers"] or ())]
    named = [{**one, "name": containers[one["name"]]["name"]} for one in statuses if one["name"] < len(containers)]
    pod["status"]["containerStatuses"] = named
    if why:
        pod["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": why}]
    if deletion is not None and deletion[0] is not None:
        pod["metadata"] |= {"deletionTimestamp": deletion[0], "deletionGracePeriodSeconds": deletion[1]}
    body = json.dumps(pod).encode()
    details = details_of(*decode_pod(body))
    assert details is not None
    ending = serving_end(details, removed_at=at(40) if removed else None)
    assert ending is None or isinstance(ending, ServingEnd)
    if removed and why not in NODE_LOST and deletion is None:
        assert ending is not None
    if ending is not None:
        record = shut_down(ending.at, end_cause=ending.end_cause, why=ending.why)
        event = shutdown_event(record, shutdown_of(record))
        assert event is not None
        assert event.message.isprintable()
        assert len(event.message.encode()) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize("hook", [None, Sleep(20)])
def test_when_a_pod_ended_whose_node_was_away_is_not_known(hook: Hook) -> None:
    going = deleted(hook)
    assert serving_end(going, removed_at=at(30 + 9)) is not None
    assert serving_end(going, removed_at=at(30 + 11)) is None
    cleaned_up = replace(going, pod=replace(going.pod, disruption="DeletionByTaintManager"))
    assert serving_end(cleaned_up, removed_at=at(20)) is None
    assert serving_end(replace(cleaned_up, ends=(an_end(3),)), removed_at=at(400)) is not None


def test_an_exec_hook_that_may_have_failed_at_once_is_reported_as_such() -> None:
    assert ended(deleted(Exec(("sleep", "25")), ends=[an_end(0)]))[2].endswith("or its hook had failed")
    assert ended(deleted(Sleep(25), ends=[an_end(0)]))[2].endswith("while its hook was waiting")


@pytest.mark.parametrize(
    "hook", [HttpGet("/shutdown?token=s3cret"), Exec(("https://ann:s3cret@tools/stop.sh",)), shell("X=s3cret; sleep 5")]
)
def test_a_secret_in_a_hook_is_not_published(hook: Hook) -> None:
    _, _, why = ended(deleted(hook, ends=[an_end(1)]))
    assert why
    assert "s3cret" not in why
