"""How long pods serve, as people and programs read it: tables that fit, patches for a shell, JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.app.assembly import windows_of
from controller.domain.shutdown.findings import WorkloadFinding
from controller.domain.shutdown.pod_details import Exec, Sleep
from controller.domain.shutdown.window import WindowOverride, Windows
from controller.ops.answers import json_text
from controller.ops.shutdown_patches import patches_text
from controller.ops.shutdown_tables import finding_answer, survey_table, survey_text
from controller.settings import WindowSettings
from tests.unit.test_tables import HOSTILE, LONG
from tests.unit.windows import USUAL, finding, looked, owned, pod_details, shell

ENOUGH = owned(pod_details(Sleep(95), grace=125, uid="b"), "StatefulSet", "stock")
CURL = owned(pod_details(shell("curl -X PUT x/status?value=OUT_OF_SERVICE; sleep 30"), uid="c"), "DaemonSet", "edge")
SCRIPT = owned(pod_details(Exec(("/stop.sh",)), grace=125, uid="d"), "StatefulSet", "legacy")
JOB = owned(pod_details(uid="e"), "Job", "nightly-29134567")


ALL = looked(pod_details(), ENOUGH, CURL, SCRIPT, JOB)


def test_the_table_has_a_line_for_each_workload_the_worst_first() -> None:
    assert survey_table(ALL, width=None).splitlines() == [
        "VERDICT            WORKLOAD                 PODS  SERVES  WINDOW  GRACE  WHY",
        "too short by 65 s  shop/daemonset/edge      1     30 s    95 s    30 s   its exec hook waits 30 s; its grace "
        "period is over after 30 s",
        "too short by 95 s  shop/deployment/orders   1     0 s     95 s    30 s   it has no preStop hook; its grace "
        "period is over after 30 s",
        "cannot be judged   shop/statefulset/legacy  1     0 s     95 s    125 s  its exec hook runs /stop.sh, which "
        "cannot be judged",
        "long enough        shop/statefulset/stock   1     95 s    95 s    125 s  its sleep hook waits 95 s",
        "not applicable     shop/cronjob/nightly     1     -       -       -      a Job's pods end by themselves: no "
        "preStop hook runs then",
    ]


@pytest.mark.parametrize("width", [80, 90, 100, 140])
def test_everything_fits_the_terminal(width: int) -> None:
    long = looked(
        *(owned(pod_details(facts={"namespace": LONG}), "StatefulSet", LONG), CURL, SCRIPT, JOB), doubts=(LONG * 2,)
    )
    for line in survey_text(long, width=width).splitlines():
        assert len(line) <= width, line


def test_a_finding_is_never_cut() -> None:
    for width in (1, 20, 80):
        assert "too short by 95 s" in survey_text(ALL, width=width)


def test_in_a_pipe_nothing_is_cut_or_folded() -> None:
    text = survey_text(looked(owned(CURL, "StatefulSet", LONG)), width=None)
    assert LONG in text
    assert "…" not in text
    assert sum("OUT_OF_SERVICE" in line or "out of service" in line for line in text.splitlines()) == 1


def test_below_the_table_stand_the_advice_and_how_the_window_comes_about() -> None:
    text = survey_text(replace(ALL, doubts=("the ages of pods were believed",)), width=None)
    assert "shop/daemonset/edge: the hook of main takes the instance out of service itself" in text
    assert "window: server cache 30 s + client fetch 30 s + load balancer 35 s = 95 s; the request in flight" in text
    assert text.endswith("the ages of pods were believed\n")


def test_an_app_with_a_window_of_its_own_is_named() -> None:
    windows = Windows(USUAL, {"ORDERS": WindowOverride(client_fetch=timedelta(seconds=5))})
    text = survey_text(looked(pod_details(facts={"app_label": "orders"}), windows=windows), width=None)
    assert "window of ORDERS: server cache 30 s + client fetch 5 s + load balancer 35 s = 70 s" in text


def test_without_pods_only_the_window_is_printed() -> None:
    assert survey_table(looked(), width=None) == ""
    assert survey_text(looked(), width=80).startswith("window: ")


def test_nothing_that_somebody_wrote_commands_the_terminal_or_the_shell() -> None:
    pod = pod_details(shell(f"/stop{HOSTILE}"), facts={"namespace": HOSTILE, "name": HOSTILE, "owner": None})
    found = looked(pod, pod_details(facts={"annotations": {"app": HOSTILE}}))
    for text in (survey_text(found, width=None), survey_text(found, width=80), patches_text(found)):
        assert all(line.isprintable() for line in text.split("\n"))
    assert {line[:2] for line in patches_text(found).splitlines()} == {"# ", "ku"}


def in_json(found: WorkloadFinding) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json_text(finding_answer(found)))
    return answer


def test_a_finding_as_json_has_everything() -> None:
    answer = in_json(finding(pod_details(grace=60, facts={"app_label": "orders"})))
    assert answer == {
        "namespace": "shop",
        "kind": "Deployment",
        "name": "orders",
        "app": "ORDERS",
        "verdict": "too_short",
        "why": "it has no preStop hook; its grace period is over after 60 s",
        "pods": 1,
        "containers": ["main"],
        "serves_seconds": 0,
        "window_seconds": 95.0,
        "window": {"server_cache_seconds": 30.0, "client_fetch_seconds": 30.0, "load_balancer_seconds": 35.0},
        "grace_seconds": 60,
        "short_by_seconds": 95,
        "advice": [],
        "needs": {"sleep_seconds": 95, "grace_seconds": 155},
        "patch": answer["patch"],
        "by_hand": None,
    }
    assert answer["patch"].startswith("kubectl patch deployment orders -n shop ")


def test_json_has_null_where_something_does_not_apply() -> None:
    answer = in_json(finding(JOB))
    for name in ("serves_seconds", "window_seconds", "window", "grace_seconds", "needs", "patch", "by_hand"):
        assert answer[name] is None
    by_hand = in_json(finding(SCRIPT))
    assert (by_hand["patch"], by_hand["verdict"]) == (None, "not_judged")
    assert "by hand" in by_hand["by_hand"]


def test_an_apps_window_takes_from_the_usual_what_is_not_set() -> None:
    settings = WindowSettings.model_validate({"server_cache": "10s", "apps": {"orders": {"client_fetch": "1s"}}})
    windows = windows_of(settings)
    assert windows.usual.length == timedelta(seconds=75)
    assert windows.of("Orders").length == timedelta(seconds=46)
    assert windows.of("payments") == windows.usual
