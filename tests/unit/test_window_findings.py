"""Whether pods stay until nobody calls them any more, workload by workload."""

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
from tests.unit.windows import USUAL, a_stay, an_owner, finding, findings, owned, shell

ORDERS = Workload("shop", "Deployment", "orders")


def test_a_pod_that_sleeps_the_window_and_has_time_left_stays_long_enough() -> None:
    one = finding(a_stay(Sleep(95), grace=125))
    assert (one.verdict, one.stays_seconds, one.short_by_seconds, one.fix) == (WindowCoverage.enough, 95, 0, None)
    assert (one.workload, one.grace_seconds, one.advice) == (ORDERS, 125, ())


SHORT: list[tuple[PodDetails, int, int, str]] = [
    (a_stay(), 0, 95, "no preStop hook"),
    (a_stay(Sleep(30), grace=60), 30, 65, "sleep hook waits 30 s"),
    (a_stay(Sleep(94), grace=200), 94, 1, "waits 94 s"),
    (a_stay(shell("sleep 30"), grace=60), 30, 65, "exec hook waits 30 s"),
    (a_stay(shell("sleep 94.5"), grace=200), 94, 1, "waits 94.5 s"),
    (a_stay(shell("curl -X PUT x; sleep 30")), 30, 65, "waits 30 s"),
    (a_stay(Exec(("sleep 95",)), grace=125), 0, 95, "no program"),
    (a_stay(TcpSocket(), grace=125), 0, 95, "tcpSocket"),
    (a_stay(HttpGet("/actuator/serviceregistry"), grace=125), 0, 95, "GET"),
    (a_stay(HttpGet("/actuator/health"), grace=125), 0, 95, "httpGet hook waits for nothing"),
    (a_stay(Sleep(120), grace=60), 60, 35, "grace period is over after 60 s"),
    (a_stay(shell("sleep infinity"), grace=60), 60, 35, "without end"),
    (a_stay(Sleep(95), grace=0), 0, 95, "grace period is over after 0 s"),
    (a_stay(Sleep(95), grace=-5), 1, 94, "grace period is over after 1 s"),
    (a_stay(shell("/opt/stop.sh")), 0, 65, "cannot be judged; its grace period is over after 30 s"),
    (a_stay(HttpGet("/stop"), grace=94), 0, 1, "cannot be judged"),
    (a_stay(shell("sleep 10; nginx -s quit; sleep 90"), grace=200), 10, 85, "waits 10 s"),
]


@pytest.mark.parametrize(("pod", "stays", "short_by", "why"), SHORT, ids=lambda value: str(value)[-60:])
def test_a_pod_that_ends_before_the_window_is_too_short_by_the_difference(
    pod: PodDetails, stays: int, short_by: int, why: str
) -> None:
    one = finding(pod)
    assert one.verdict is WindowCoverage.too_short
    assert (one.stays_seconds, one.short_by_seconds) == (stays, short_by)
    assert why in one.why
    assert one.fix is not None


@pytest.mark.parametrize("hook", [shell("/opt/stop.sh"), shell("while :; do sleep 1; done"), HttpGet("/stop")], ids=str)
def test_a_hook_that_may_be_long_enough_or_not_cannot_be_judged(hook: Exec | HttpGet) -> None:
    one = finding(a_stay(hook, grace=125))
    assert (one.verdict, one.short_by_seconds) == (WindowCoverage.unjudged, 0)
    assert "cannot be judged" in one.why
    assert one.fix is not None
    assert one.fix.patch is None


def test_what_comes_after_enough_sleep_need_not_be_judged() -> None:
    assert finding(a_stay(shell("sleep 95; /opt/stop.sh"), grace=200)).verdict is WindowCoverage.enough


def test_what_comes_before_a_script_is_told_and_counts() -> None:
    one = finding(a_stay(shell("sleep 30; /opt/stop.sh"), grace=200))
    assert (one.verdict, one.stays_seconds) == (WindowCoverage.unjudged, 30)
    assert "before that it waits 30 s" in one.why


@pytest.mark.parametrize("hook", [Sleep(120), Sleep(100), shell("sleep infinity")], ids=str)
def test_a_hook_that_the_grace_period_cuts_off_stays_for_the_grace_period_and_is_told(hook: Any) -> None:
    one = finding(a_stay(hook, grace=100))
    assert (one.verdict, one.stays_seconds) == (WindowCoverage.enough, 100)
    assert "cut off" in one.advice[0]
    assert "2 s between SIGTERM and SIGKILL" in one.advice[0]
    assert not finding(a_stay(Sleep(99), grace=100)).advice


def mended(pod: PodDetails) -> Fix:
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
        (shell("sleep infinity"), 60, 95 + 30),
        (shell("curl -X PUT x; sleep 30"), 90, 95 + 60),
        (shell("/opt/stop.sh"), 60, 95 + 30),
        (shell("/opt/stop.sh"), 600, 600),
    ],
    ids=str,
)
def test_the_grace_period_is_the_window_and_what_the_application_had_until_now(
    hook: Any, grace: int, needed: int
) -> None:
    found = mended(a_stay(hook, grace=grace))
    assert (found.sleep_seconds, found.grace_seconds) == (95, needed)


def test_a_window_with_a_fraction_is_slept_in_whole_seconds() -> None:
    windows = Windows(replace(USUAL, load_balancer=timedelta(milliseconds=200)))
    one = finding(a_stay(Sleep(60), grace=200), windows=windows)
    assert (one.verdict, one.short_by_seconds) == (WindowCoverage.too_short, 1)
    assert one.fix is not None
    assert one.fix.sleep_seconds == 61
    assert finding(a_stay(Sleep(61), grace=200), windows=windows).verdict is WindowCoverage.enough


def patch_of(pod: PodDetails) -> dict[str, Any]:
    patch = mended(pod).patch
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
    assert patch_of(a_stay(hook)) == {
        "terminationGracePeriodSeconds": 125,
        "containers": [{"name": "main", "lifecycle": hooked}],
    }


@pytest.mark.parametrize(
    "hook", [shell("curl -X PUT x; sleep 30"), shell("/stop.sh"), HttpGet("/x"), HttpGet("/actuator/pause")], ids=str
)
def test_a_hook_that_does_more_than_wait_has_to_be_edited_by_hand_and_the_numbers_are_told(hook: Any) -> None:
    found = mended(a_stay(hook))
    assert found.patch is None
    for told in ("hook of main", "by hand", "wait 95 s", "terminationGracePeriodSeconds has to be 125"):
        assert told in found.by_hand


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (a_stay(facts={"owner": None}), "create it again"),
        (a_stay(rollout=True), "where this Rollout has it"),
        (owned(a_stay(), "Kafka", "orders"), "where this Kafka has it"),
    ],
    ids=str,
)
def test_what_takes_no_patch_is_mended_by_hand(pod: PodDetails, why: str) -> None:
    found = mended(pod)
    assert found.patch is None
    assert why in found.by_hand


@pytest.mark.parametrize("name", ["--help", "a b", "a'; rm -rf /", "a\nb", "", "A", "ä", "x" * 300, "-"])
@pytest.mark.parametrize("where", ["namespace", "workload", "container"])
def test_a_name_that_no_command_line_should_hold_gets_no_patch(name: str, where: str) -> None:
    pod = owned(a_stay(facts={"namespace": name} if where == "namespace" else {}), "StatefulSet", "orders")
    if where == "workload":
        pod = owned(pod, "StatefulSet", name)
    if where == "container":
        pod = replace(pod, containers=(Container(name=name),))
    found = mended(pod)
    assert found.patch is None
    assert "by hand" in found.by_hand


HELPER = Container(name="logs")
PROXY = Container(name="istio-proxy", ports=(15_090,))


def test_of_several_containers_the_first_to_end_decides() -> None:
    one = finding(a_stay(Sleep(95), HELPER, grace=125))
    assert (one.verdict, one.containers) == (WindowCoverage.too_short, ("main", "logs"))
    assert one.why.startswith("logs: ")
    assert patch_of(a_stay(Sleep(95), HELPER, grace=125))["containers"][0]["name"] == "logs"


def test_the_container_that_declares_the_apps_port_is_the_one_that_serves() -> None:
    facts = {"annotations": {"port": "8080"}}
    one = finding(a_stay(Sleep(95), HELPER, grace=125, facts=facts))
    assert (one.verdict, one.containers) == (WindowCoverage.enough, ("main",))


def test_a_port_that_no_container_declares_tells_nothing() -> None:
    one = finding(a_stay(Sleep(95), HELPER, grace=125, facts={"annotations": {"port": "9090"}}))
    assert one.containers == ("main", "logs")


def test_every_container_that_is_too_short_is_patched_and_no_other() -> None:
    pod = a_stay(Sleep(30), HELPER, Container(name="long", hook=Sleep(120)), grace=130)
    spec = patch_of(pod)
    assert [one["name"] for one in spec["containers"]] == ["main", "logs"]
    assert spec["terminationGracePeriodSeconds"] == 95 + 130


def test_known_sidecars_do_not_serve_and_a_proxy_that_ends_first_is_told() -> None:
    one = finding(a_stay(Sleep(95), PROXY, grace=125))
    assert (one.verdict, one.containers) == (WindowCoverage.enough, ("main",))
    assert "istio-proxy may get its SIGTERM after 0 s" in one.advice[0]
    waits = replace(PROXY, hook=Sleep(95))
    assert not finding(a_stay(Sleep(95), waits, grace=125)).advice
    assert not finding(a_stay(Sleep(95), Container(name="filebeat"), grace=125)).advice


def test_a_native_sidecar_ends_after_the_others_so_a_proxy_as_one_is_no_trouble() -> None:
    proxy = replace(PROXY, native_sidecar=True)
    one = finding(a_stay(Sleep(95), proxy, grace=125))
    assert (one.verdict, one.containers, one.advice) == (WindowCoverage.enough, ("main",), ())


def test_a_native_sidecar_that_serves_stays_as_long_as_the_longest_of_the_others() -> None:
    serves = Container(name="web", ports=(9090,), native_sidecar=True)
    facts = {"annotations": {"port": "9090"}}
    one = finding(a_stay(Sleep(95), serves, grace=125, facts=facts))
    assert (one.verdict, one.containers, one.stays_seconds) == (WindowCoverage.enough, ("web",), 95)
    short = a_stay(Sleep(30), serves, grace=60, facts=facts)
    assert "ends after the others" in finding(short).why
    assert patch_of(short)["initContainers"][0]["name"] == "web"
    lost = finding(a_stay(shell("/stop.sh"), serves, grace=125, facts=facts))
    assert lost.verdict is WindowCoverage.unjudged
    assert "ends after main, whose hook runs /stop.sh, which cannot be judged" in lost.why
    assert lost.fix is not None
    assert lost.fix.by_hand.startswith("web ends after main, whose hook runs /stop.sh; look at them by hand")


def test_with_nothing_but_sidecars_all_of_them_count() -> None:
    one = finding(replace(a_stay(), containers=(PROXY,)))
    assert (one.verdict, one.containers) == (WindowCoverage.too_short, ("istio-proxy",))


def test_a_container_that_is_too_short_for_certain_outweighs_one_that_cannot_be_judged() -> None:
    one = finding(a_stay(shell("/stop.sh"), HELPER, grace=125))
    assert (one.verdict, one.short_by_seconds) == (WindowCoverage.too_short, 95)
    assert one.why.startswith("logs: ")


LEFT_OUT: list[tuple[PodDetails, str]] = [
    (owned(a_stay(), "Job", "nightly"), "Job"),
    (owned(a_stay(), "Job", "nightly-29134567"), "Job"),
    (a_stay(facts={"annotations": {"enabled": "false"}}), "eureka.drain/enabled"),
    (a_stay(facts={"annotations": {"enabled": " False "}}), "eureka.drain/enabled"),
    (a_stay(facts={"phase": "Succeeded", "owner": None}), "ended"),
    (a_stay(facts={"phase": "Failed"}), "ended"),
    (replace(a_stay(), pod=terminating(a_stay().pod)), "deleted already"),
    (a_stay(mirror=True), "static pod"),
    (owned(a_stay(), "Node", "node-a"), "static pod"),
    (replace(a_stay(), containers=()), "no containers"),
]


@pytest.mark.parametrize(("pod", "why"), LEFT_OUT, ids=lambda value: str(value)[-50:])
def test_what_the_question_does_not_apply_to_is_left_out_with_the_reason(pod: PodDetails, why: str) -> None:
    one = finding(pod)
    assert (one.verdict, one.fix, one.window, one.stays_seconds) == (WindowCoverage.left_out, None, None, None)
    assert why in one.why


def test_dead_and_leaving_pods_do_not_speak_for_the_living_ones() -> None:
    dead = a_stay(uid="uid-2", facts={"phase": "Failed", "created_at": at(0)})
    leaving = a_stay(uid="uid-3")
    leaving = replace(leaving, pod=terminating(leaving.pod))
    one = finding(dead, a_stay(Sleep(95), grace=125), leaving)
    assert (one.verdict, one.pods) == (WindowCoverage.enough, 1)


def test_a_broken_annotation_is_told_and_the_pod_is_judged_all_the_same() -> None:
    for notes in ({"enabled": "maybe"}, {"port": "http"}):
        one = finding(a_stay(facts={"annotations": notes, "app_label": "orders"}))
        assert (one.verdict, one.app) == (WindowCoverage.too_short, "ORDERS")
        assert "refuses to drain" in one.advice[0]


def test_a_hook_that_sets_the_status_itself_is_told_that_the_controller_does_that_now() -> None:
    put = "curl -X PUT http://e/eureka/apps/A/B/status?value=OUT_OF_SERVICE"
    one = finding(a_stay(shell(f"{put} && sleep 95"), grace=125))
    assert one.verdict is WindowCoverage.enough
    assert "docs/migrating.md" in one.advice[0]
    assert "skipped" in one.advice[1]


def test_what_ends_the_application_before_the_hook_is_over_is_told() -> None:
    one = finding(a_stay(shell("nginx -s quit; sleep 95"), grace=125))
    assert any("afterwards is not counted" in text for text in one.advice)
    assert not finding(a_stay(shell("sleep 95; exit 0"), grace=125)).advice


def test_a_pod_on_its_nodes_network_without_a_port_cannot_be_told_from_its_neighbours() -> None:
    def advice(**facts: Any) -> str:
        return " ".join(finding(a_stay(Sleep(95), grace=125, facts={"host_network": True, **facts})).advice)

    assert "eureka.drain/port" in advice(ports=())
    assert not advice(ports=(8080,))
    assert not advice(ports=(), annotations={"port": "8080"})
    assert not advice(ports=(), annotations={"instance-id": "a:b"})


def test_the_window_is_the_apps_own_whatever_the_case_of_its_name() -> None:
    own = replace(USUAL, client_fetch=timedelta(seconds=5), load_balancer=timedelta(seconds=5))
    windows = Windows(USUAL, {"ORDERS": WindowOverride(client_fetch=own.client_fetch, load_balancer=own.load_balancer)})

    def of(**facts: Any) -> WorkloadFinding:
        return finding(a_stay(Sleep(40), grace=90, facts=facts), windows=windows)

    for facts in ({"annotations": {"app": "Orders"}}, {"app_label": "orders"}):
        assert (of(**facts).verdict, of(**facts).window, of(**facts).app) == (WindowCoverage.enough, own, "ORDERS")
    other = of(annotations={"app": "payments"}, app_label="orders")
    assert (other.verdict, other.short_by_seconds, other.app) == (WindowCoverage.too_short, 55, "PAYMENTS")
    assert of().window == USUAL


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (a_stay(), ORDERS),
        (a_stay(rollout=True), Workload("shop", "Rollout", "orders")),
        (a_stay(facts={"owner": an_owner("ReplicaSet", "orders-a")}), Workload("shop", "ReplicaSet", "orders-a")),
        (replace(a_stay(), template=""), Workload("shop", "ReplicaSet", "orders-7cd9c4fbcc")),
        (owned(a_stay(template="orders-6f9"), "StatefulSet", "orders"), Workload("shop", "StatefulSet", "orders")),
        (owned(a_stay(), "DaemonSet", "agent"), Workload("shop", "DaemonSet", "agent")),
        (owned(a_stay(), "Job", "once"), Workload("shop", "Job", "once")),
        (owned(a_stay(), "Job", "backup-29134567"), Workload("shop", "CronJob", "backup")),
        (a_stay(facts={"owner": None, "name": "alone"}), Workload("shop", "Pod", "alone")),
    ],
    ids=str,
)
def test_pods_are_gathered_under_what_a_person_would_change(pod: PodDetails, workload: Workload) -> None:
    assert workload_of(pod) == workload


def test_the_jobs_of_a_cron_job_are_one_line() -> None:
    jobs = [owned(a_stay(uid=f"uid-{minute}"), "Job", f"backup-2913456{minute}") for minute in range(3)]
    one = finding(*jobs)
    assert (one.workload.kind, one.pods) == ("CronJob", 3)


OLD = a_stay(template="old", uid="uid-old", facts={"created_at": at(0)})
NEW = a_stay(Sleep(95), template="new", uid="uid-new", grace=125, facts={"created_at": at(-10)})


def test_while_a_rollout_is_under_way_the_newest_template_decides() -> None:
    one = finding(OLD, NEW, revisions={(ORDERS, "old"): 1, (ORDERS, "new"): 2})
    assert (one.verdict, one.pods) == (WindowCoverage.enough, 1)
    back = finding(OLD, NEW, revisions={(ORDERS, "old"): 3, (ORDERS, "new"): 2})
    assert back.verdict is WindowCoverage.too_short


def test_where_nobody_says_which_template_is_newest_the_youngest_pod_decides() -> None:
    assert finding(OLD, NEW).verdict is WindowCoverage.too_short
    assert finding(OLD, replace(NEW, pod=replace(NEW.pod, created_at=at(1)))).verdict is WindowCoverage.enough
    assert finding(OLD, replace(NEW, pod=replace(NEW.pod, created_at=None))).verdict is WindowCoverage.too_short


def test_a_daemon_sets_newest_template_has_the_largest_generation() -> None:
    old, new = (owned(pod, "DaemonSet", "agent") for pod in (OLD, NEW))
    one = finding(replace(old, generation=1), replace(new, generation=2))
    assert one.verdict is WindowCoverage.enough


def test_of_the_pods_of_one_template_the_worst_is_told() -> None:
    injected = replace(a_stay(Sleep(95), HELPER, grace=125), pod=a_stay(uid="uid-2").pod)
    one = finding(a_stay(Sleep(95), grace=125), injected)
    assert (one.verdict, one.pods) == (WindowCoverage.too_short, 2)


def test_the_worst_workloads_come_first() -> None:
    pods = [
        owned(a_stay(uid="a"), "Job", "a"),
        owned(a_stay(Sleep(95), grace=125, uid="b"), "StatefulSet", "b"),
        owned(a_stay(shell("/x"), grace=125, uid="c"), "StatefulSet", "c"),
        owned(a_stay(uid="z"), "StatefulSet", "z"),
        owned(a_stay(uid="d"), "StatefulSet", "d"),
    ]
    assert [one.workload.name for one in findings(pods)] == ["d", "z", "c", "b", "a"]
    assert [one.verdict for one in findings(pods)] == [WindowCoverage.too_short, *WindowCoverage]


def test_without_pods_nothing_is_found() -> None:
    assert findings([]) == []


def test_the_same_names_in_two_namespaces_are_two_workloads() -> None:
    other = a_stay(uid="uid-2", facts={"namespace": "stock"})
    assert [one.workload.namespace for one in findings([a_stay(), other])] == ["shop", "stock"]
