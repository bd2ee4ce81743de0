"""Whether pods serve until no caller uses them any more, workload by workload."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.domain.shutdown.findings import WindowCoverage, WorkloadFinding
from controller.domain.shutdown.fix import Fix
from controller.domain.shutdown.pod_details import Container, Exec, HttpGet, PodDetails, Sleep, TcpSocket
from controller.domain.shutdown.window import WindowOverride, Windows
from controller.domain.shutdown.workloads import Workload, workload_of
from tests.unit.building import at, terminating
from tests.unit.windows import USUAL, an_owner, finding, findings, owned, pod_details, shell

ORDERS = Workload("shop", "Deployment", "orders")


def test_a_pod_that_sleeps_the_window_and_has_time_left_is_long_enough() -> None:
    one = finding(pod_details(Sleep(95), grace=125))
    assert (one.verdict, one.serves_seconds, one.short_by_seconds, one.fix) == (WindowCoverage.enough, 95, 0, None)
    assert (one.workload, one.grace_seconds, one.advice) == (ORDERS, 125, ())


SHORT: list[tuple[PodDetails, int, int, str]] = [
    (pod_details(), 0, 95, "no preStop hook"),
    (pod_details(Sleep(30), grace=60), 30, 65, "sleep hook waits 30 s"),
    (pod_details(Sleep(94), grace=200), 94, 1, "waits 94 s"),
    (pod_details(shell("sleep 30"), grace=60), 30, 65, "exec hook waits 30 s"),
    (pod_details(shell("sleep 94.5"), grace=200), 94, 1, "waits 94.5 s"),
    (pod_details(shell("curl -X PUT x; sleep 30")), 30, 65, "waits 30 s"),
    (pod_details(Exec(("sleep 95",)), grace=125), 0, 95, "no program"),
    (pod_details(TcpSocket(), grace=125), 0, 95, "tcpSocket"),
    (pod_details(HttpGet("/actuator/serviceregistry"), grace=125), 0, 95, "GET"),
    (pod_details(HttpGet("/actuator/health"), grace=125), 0, 95, "httpGet hook waits for nothing"),
    (pod_details(Sleep(120), grace=60), 60, 35, "grace period is over after 60 s"),
    (pod_details(Sleep(2**40), grace=60), 60, 35, "without end"),
    (pod_details(Sleep(95), grace=0), 0, 95, "grace period is over after 0 s"),
    (pod_details(Sleep(95), grace=-5), 1, 94, "grace period is over after 1 s"),
    (pod_details(shell("/opt/stop.sh")), 0, 65, "cannot be judged; its grace period is over after 30 s"),
    (pod_details(HttpGet("/stop"), grace=94), 0, 1, "cannot be judged"),
]


@pytest.mark.parametrize(("pod", "serves", "short_by", "why"), SHORT, ids=lambda value: str(value)[-60:])
def test_a_pod_that_ends_before_the_window_is_too_short_by_the_difference(
    pod: PodDetails, serves: int, short_by: int, why: str
) -> None:
    one = finding(pod)
    assert one.verdict is WindowCoverage.too_short
    assert (one.serves_seconds, one.short_by_seconds) == (serves, short_by)
    assert why in one.why
    assert one.fix is not None


NOT_JUDGED = [
    shell("/opt/stop.sh"),
    shell("while :; do sleep 1; done"),
    shell("sleep 95; nginx -s quit"),
    Exec(("sh", "-ec", "curl -X PUT x; sleep 95")),
    HttpGet("/stop"),
]


@pytest.mark.parametrize("hook", NOT_JUDGED, ids=str)
def test_a_hook_that_may_be_long_enough_or_not_cannot_be_judged(hook: Exec | HttpGet) -> None:
    one = finding(pod_details(hook, grace=125))
    assert (one.verdict, one.short_by_seconds) == (WindowCoverage.not_judged, 0)
    assert "cannot be judged" in one.why
    assert one.fix is not None
    assert one.fix.patch is None


@pytest.mark.parametrize("hook", [Sleep(120), Sleep(100), shell("sleep 9d")], ids=str)
def test_a_hook_that_is_cut_off_serves_for_the_grace_period_with_advice(hook: Any) -> None:
    one = finding(pod_details(hook, grace=100))
    assert (one.verdict, one.serves_seconds) == (WindowCoverage.enough, 100)
    assert "cut off" in one.advice[0]
    assert "2 s between SIGTERM and SIGKILL" in one.advice[0]
    assert not finding(pod_details(Sleep(99), grace=100)).advice


def fix_of(pod: PodDetails) -> Fix:
    found = finding(pod).fix
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("hook", "grace", "needed"),
    [
        (None, 30, 95 + 30),
        (None, 120, 95 + 120),
        (None, 10, 95 + 30),
        (Sleep(30), 30, 95 + 30),
        (Sleep(30), 90, 95 + 60),
        (Sleep(120), 60, 95 + 30),
        (shell("sleep 30.5"), 90, 95 + 59),
        (Sleep(2**40), 60, 95 + 30),
        (shell("curl -X PUT x; sleep 30"), 90, 95 + 60),
        (shell("/opt/stop.sh"), 60, 95 + 30),
        (shell("/opt/stop.sh"), 600, 600),
    ],
    ids=str,
)
def test_the_grace_period_is_the_window_and_what_the_application_had(hook: Any, grace: int, needed: int) -> None:
    found = fix_of(pod_details(hook, grace=grace))
    assert (found.sleep_seconds, found.grace_seconds) == (95, needed)


def test_a_window_with_a_fraction_is_slept_in_whole_seconds() -> None:
    windows = Windows(replace(USUAL, load_balancer=timedelta(milliseconds=200)))
    one = finding(pod_details(Sleep(60), grace=200), windows=windows)
    assert (one.verdict, one.short_by_seconds) == (WindowCoverage.too_short, 1)
    assert one.fix is not None
    assert one.fix.sleep_seconds == 61
    assert finding(pod_details(Sleep(61), grace=200), windows=windows).verdict is WindowCoverage.enough


def patch_of(pod: PodDetails) -> dict[str, Any]:
    patch = fix_of(pod).patch
    assert patch is not None
    spec: dict[str, Any] = patch["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("hook", "replaced"),
    [
        (None, {}),
        (Sleep(30), {}),
        (shell("sleep 30"), {"exec": None}),
        (Exec(("sleep 95",)), {"exec": None}),
        (TcpSocket(), {"tcpSocket": None}),
    ],
    ids=str,
)
def test_a_hook_that_only_waits_is_replaced_by_the_native_sleep(hook: Any, replaced: dict[str, None]) -> None:
    hooked = {"preStop": {"sleep": {"seconds": 95}, **replaced}}
    assert patch_of(pod_details(hook)) == {
        "terminationGracePeriodSeconds": 125,
        "containers": [{"name": "main", "lifecycle": hooked}],
    }


@pytest.mark.parametrize(
    "hook", [shell("curl -X PUT x; sleep 30"), shell("/stop.sh"), HttpGet("/x"), HttpGet("/actuator/pause")], ids=str
)
def test_a_hook_that_does_more_than_wait_is_edited_by_hand_with_numbers(hook: Any) -> None:
    found = fix_of(pod_details(hook))
    assert found.patch is None
    for text in ("hook of main", "by hand", "wait 95 s", "terminationGracePeriodSeconds has to be 125"):
        assert text in found.by_hand


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (pod_details(facts={"owner": None}), "create it again"),
        (pod_details(rollout=True), "where this Rollout has it"),
        (owned(pod_details(), "Kafka", "orders"), "where this Kafka has it"),
    ],
    ids=str,
)
def test_what_takes_no_patch_is_fixed_by_hand(pod: PodDetails, why: str) -> None:
    found = fix_of(pod)
    assert found.patch is None
    assert why in found.by_hand


@pytest.mark.parametrize("name", ["--help", "a b", "a'; rm -rf /", "a\nb", "", "A", "ä", "x" * 300, "-"])
@pytest.mark.parametrize("where", ["namespace", "workload", "container"])
def test_a_name_that_no_command_line_should_hold_gets_no_patch(name: str, where: str) -> None:
    pod = owned(pod_details(facts={"namespace": name} if where == "namespace" else {}), "StatefulSet", "orders")
    if where == "workload":
        pod = owned(pod, "StatefulSet", name)
    if where == "container":
        pod = replace(pod, containers=(Container(name=name),))
    found = fix_of(pod)
    assert found.patch is None
    assert "by hand" in found.by_hand


HELPER = Container(name="logs")
PROXY = Container(name="istio-proxy", ports=(15_090,))


def test_of_several_containers_the_first_to_end_decides() -> None:
    one = finding(pod_details(Sleep(95), HELPER, grace=125))
    assert (one.verdict, one.containers) == (WindowCoverage.too_short, ("main", "logs"))
    assert one.why.startswith("logs: ")
    assert patch_of(pod_details(Sleep(95), HELPER, grace=125))["containers"][0]["name"] == "logs"


def test_the_container_that_declares_the_apps_port_is_the_one_that_serves() -> None:
    facts = {"annotations": {"port": "8080"}}
    one = finding(pod_details(Sleep(95), HELPER, grace=125, facts=facts))
    assert (one.verdict, one.containers) == (WindowCoverage.enough, ("main",))


def test_a_port_that_no_container_declares_changes_nothing() -> None:
    one = finding(pod_details(Sleep(95), HELPER, grace=125, facts={"annotations": {"port": "9090"}}))
    assert one.containers == ("main", "logs")


def test_every_container_that_is_too_short_is_patched_and_no_other() -> None:
    pod = pod_details(Sleep(30), HELPER, Container(name="long", hook=Sleep(120)), grace=130)
    spec = patch_of(pod)
    assert [one["name"] for one in spec["containers"]] == ["main", "logs"]
    assert spec["terminationGracePeriodSeconds"] == 95 + 130


def test_known_sidecars_do_not_serve_and_a_proxy_that_ends_first_is_named() -> None:
    one = finding(pod_details(Sleep(95), PROXY, grace=125))
    assert (one.verdict, one.containers) == (WindowCoverage.enough, ("main",))
    assert "istio-proxy may get its SIGTERM after 0 s" in one.advice[0]
    waits = replace(PROXY, hook=Sleep(95))
    assert not finding(pod_details(Sleep(95), waits, grace=125)).advice
    assert not finding(pod_details(Sleep(95), Container(name="filebeat"), grace=125)).advice


def test_a_proxy_as_a_native_sidecar_is_no_trouble() -> None:
    proxy = replace(PROXY, native_sidecar=True)
    one = finding(pod_details(Sleep(95), proxy, grace=125))
    assert (one.verdict, one.containers, one.advice) == (WindowCoverage.enough, ("main",), ())


def test_a_native_sidecar_serves_as_long_as_the_longest_of_the_others() -> None:
    serves = Container(name="web", ports=(9090,), native_sidecar=True)
    facts = {"annotations": {"port": "9090"}}
    one = finding(pod_details(Sleep(95), serves, grace=125, facts=facts))
    assert (one.verdict, one.containers, one.serves_seconds) == (WindowCoverage.enough, ("web",), 95)
    short = pod_details(Sleep(30), serves, grace=60, facts=facts)
    assert "ends after the others" in finding(short).why
    assert patch_of(short)["initContainers"][0]["name"] == "web"
    lost = finding(pod_details(Exec(("/stop.sh",)), serves, grace=125, facts=facts))
    assert lost.verdict is WindowCoverage.not_judged
    assert "ends after main, whose hook runs /stop.sh, which cannot be judged" in lost.why
    assert lost.fix is not None
    assert lost.fix.by_hand.startswith("web ends after main, whose hook runs /stop.sh; look at them by hand")


def test_with_nothing_but_sidecars_all_of_them_count() -> None:
    one = finding(replace(pod_details(), containers=(PROXY,)))
    assert (one.verdict, one.containers) == (WindowCoverage.too_short, ("istio-proxy",))


def test_a_container_too_short_for_certain_outweighs_one_not_judged() -> None:
    one = finding(pod_details(shell("/stop.sh"), HELPER, grace=125))
    assert (one.verdict, one.short_by_seconds) == (WindowCoverage.too_short, 95)
    assert one.why.startswith("logs: ")


LEFT_OUT: list[tuple[PodDetails, str]] = [
    (owned(pod_details(), "Job", "nightly"), "Job"),
    (owned(pod_details(), "Job", "nightly-29134567"), "Job"),
    (pod_details(facts={"annotations": {"enabled": "false"}}), "eureka.drain/enabled"),
    (pod_details(facts={"annotations": {"enabled": " False "}}), "eureka.drain/enabled"),
    (pod_details(facts={"phase": "Succeeded", "owner": None}), "ended"),
    (pod_details(facts={"phase": "Failed"}), "ended"),
    (replace(pod_details(), pod=terminating(pod_details().pod)), "deleted already"),
    (pod_details(mirror=True), "static pod"),
    (owned(pod_details(), "Node", "node-a"), "static pod"),
    (replace(pod_details(), containers=()), "no containers"),
]


@pytest.mark.parametrize(("pod", "why"), LEFT_OUT, ids=lambda value: str(value)[-50:])
def test_what_the_question_does_not_apply_to_is_skipped_with_the_reason(pod: PodDetails, why: str) -> None:
    one = finding(pod)
    assert (one.verdict, one.fix, one.window, one.serves_seconds) == (WindowCoverage.left_out, None, None, None)
    assert why in one.why


def test_dead_and_terminating_pods_do_not_count_among_the_living() -> None:
    dead = pod_details(uid="uid-2", facts={"phase": "Failed", "created_at": at(0)})
    leaving = pod_details(uid="uid-3")
    leaving = replace(leaving, pod=terminating(leaving.pod))
    one = finding(dead, pod_details(Sleep(95), grace=125), leaving)
    assert (one.verdict, one.pods) == (WindowCoverage.enough, 1)


def test_a_broken_annotation_is_named_and_the_pod_has_a_finding() -> None:
    for notes in ({"enabled": "maybe"}, {"port": "http"}):
        one = finding(pod_details(facts={"annotations": notes, "app_label": "orders"}))
        assert (one.verdict, one.app) == (WindowCoverage.too_short, "ORDERS")
        assert "refuses to drain" in one.advice[0]


def test_a_hook_that_sets_the_status_itself_is_not_needed_any_more() -> None:
    put = "curl -X PUT http://e/eureka/apps/A/B/status?value=OUT_OF_SERVICE"
    one = finding(pod_details(shell(f"{put}; sleep 95"), grace=125))
    assert one.verdict is WindowCoverage.enough
    (advice,) = one.advice
    assert "docs/migrating.md" in advice


def test_a_pod_on_its_nodes_network_needs_a_port() -> None:
    def advice(**facts: Any) -> str:
        return " ".join(finding(pod_details(Sleep(95), grace=125, facts={"host_network": True, **facts})).advice)

    assert "eureka.drain/port" in advice(ports=())
    assert not advice(ports=(8080,))
    assert not advice(ports=(), annotations={"port": "8080"})
    assert not advice(ports=(), annotations={"instance-id": "a:b"})


def test_the_window_is_the_apps_own_whatever_the_case_of_its_name() -> None:
    own = replace(USUAL, client_fetch=timedelta(seconds=5), load_balancer=timedelta(seconds=5))
    windows = Windows(USUAL, {"ORDERS": WindowOverride(client_fetch=own.client_fetch, load_balancer=own.load_balancer)})

    def of(**facts: Any) -> WorkloadFinding:
        return finding(pod_details(Sleep(40), grace=90, facts=facts), windows=windows)

    for facts in ({"annotations": {"app": "Orders"}}, {"app_label": "orders"}):
        assert (of(**facts).verdict, of(**facts).window, of(**facts).app) == (WindowCoverage.enough, own, "ORDERS")
    other = of(annotations={"app": "payments"}, app_label="orders")
    assert (other.verdict, other.short_by_seconds, other.app) == (WindowCoverage.too_short, 55, "PAYMENTS")
    assert of().window == USUAL


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (pod_details(), ORDERS),
        (pod_details(rollout=True), Workload("shop", "Rollout", "orders")),
        (pod_details(facts={"owner": an_owner("ReplicaSet", "orders-a")}), Workload("shop", "ReplicaSet", "orders-a")),
        (replace(pod_details(), template=""), Workload("shop", "ReplicaSet", "orders-7cd9c4fbcc")),
        (owned(pod_details(template="orders-6f9"), "StatefulSet", "orders"), Workload("shop", "StatefulSet", "orders")),
        (owned(pod_details(), "DaemonSet", "agent"), Workload("shop", "DaemonSet", "agent")),
        (owned(pod_details(), "Job", "once"), Workload("shop", "Job", "once")),
        (owned(pod_details(), "Job", "backup-29134567"), Workload("shop", "CronJob", "backup")),
        (pod_details(facts={"owner": None, "name": "alone"}), Workload("shop", "Pod", "alone")),
    ],
    ids=str,
)
def test_pods_are_gathered_under_what_a_person_would_change(pod: PodDetails, workload: Workload) -> None:
    assert workload_of(pod) == workload


def test_the_jobs_of_a_cron_job_are_one_line() -> None:
    jobs = [owned(pod_details(uid=f"uid-{minute}"), "Job", f"backup-2913456{minute}") for minute in range(3)]
    one = finding(*jobs)
    assert (one.workload.kind, one.pods) == ("CronJob", 3)


OLD = pod_details(template="old", uid="uid-old", facts={"created_at": at(0)})
NEW = pod_details(Sleep(95), template="new", uid="uid-new", grace=125, facts={"created_at": at(-10)})


def test_while_a_rollout_is_under_way_the_newest_template_decides() -> None:
    one = finding(OLD, NEW, revisions={(ORDERS, "old"): 1, (ORDERS, "new"): 2})
    assert (one.verdict, one.pods) == (WindowCoverage.enough, 1)
    back = finding(OLD, NEW, revisions={(ORDERS, "old"): 3, (ORDERS, "new"): 2})
    assert back.verdict is WindowCoverage.too_short


def test_without_revisions_the_youngest_pods_template_decides() -> None:
    assert finding(OLD, NEW).verdict is WindowCoverage.too_short
    assert finding(OLD, replace(NEW, pod=replace(NEW.pod, created_at=at(1)))).verdict is WindowCoverage.enough
    assert finding(OLD, replace(NEW, pod=replace(NEW.pod, created_at=None))).verdict is WindowCoverage.too_short


def test_a_daemon_sets_newest_template_has_the_largest_generation() -> None:
    old, new = (owned(pod, "DaemonSet", "agent") for pod in (OLD, NEW))
    one = finding(replace(old, generation=1), replace(new, generation=2))
    assert one.verdict is WindowCoverage.enough


def test_of_the_pods_of_one_template_the_worst_counts() -> None:
    injected = replace(pod_details(Sleep(95), HELPER, grace=125), pod=pod_details(uid="uid-2").pod)
    one = finding(pod_details(Sleep(95), grace=125), injected)
    assert (one.verdict, one.pods) == (WindowCoverage.too_short, 2)


def test_the_worst_workloads_come_first() -> None:
    pods = [
        owned(pod_details(uid="a"), "Job", "a"),
        owned(pod_details(Sleep(95), grace=125, uid="b"), "StatefulSet", "b"),
        owned(pod_details(shell("/x"), grace=125, uid="c"), "StatefulSet", "c"),
        owned(pod_details(uid="z"), "StatefulSet", "z"),
        owned(pod_details(uid="d"), "StatefulSet", "d"),
    ]
    assert [one.workload.name for one in findings(pods)] == ["d", "z", "c", "b", "a"]
    assert [one.verdict for one in findings(pods)] == [WindowCoverage.too_short, *WindowCoverage]


def test_without_pods_nothing_is_found() -> None:
    assert findings([]) == []


def test_the_same_names_in_two_namespaces_are_two_workloads() -> None:
    other = pod_details(uid="uid-2", facts={"namespace": "stock"})
    assert [one.workload.namespace for one in findings([pod_details(), other])] == ["shop", "stock"]
