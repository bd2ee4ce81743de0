"""The Prometheus rules as Prometheus reads them: promtool checks them, and plays each alert through.

The rules stand in the PrometheusRule only; what is below its ``spec`` is a rule file, and is given to promtool as such.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.stack.parts import promtool as built_promtool
from tests.stack.prerequisites import KUBECTL, ReportProgress, require
from tests.stack.processes import output_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMPONENTS = Path(__file__).parents[2] / "manifests" / "components"
SPEC: dict[str, Any] = yaml.safe_load((COMPONENTS / "prometheus" / "rules.yaml").read_text())["spec"]
ALERTS = [rule["alert"] for group in SPEC["groups"] for rule in group["rules"]]
CASES = Path(__file__).parent


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def promtool(report_progress: ReportProgress) -> Path:
    return await built_promtool(report_progress) / "promtool"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(SPEC))
    return file


async def test_prometheus_can_read_them(promtool: Path, rules: Path) -> None:
    printed = await output_of(str(promtool), "check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert f"{len(ALERTS)} rules found" in printed


@pytest.mark.parametrize("alert", ALERTS)
async def test_it_fires_when_it_should_and_is_silent_when_not(promtool: Path, rules: Path, alert: str) -> None:
    cases = yaml.safe_load((CASES / f"{alert}.yaml").read_text())["tests"]
    fires = [bool(check["exp_alerts"]) for case in cases for check in case["alert_rule_test"]]
    assert any(fires), "no case makes it fire"
    assert not all(fires), "no case shows it silent"
    assert {check["alertname"] for case in cases for check in case["alert_rule_test"]} == {alert}
    shutil.copy(CASES / f"{alert}.yaml", rules.parent)
    await output_of(str(promtool), "test", "rules", str(rules.parent / f"{alert}.yaml"))


async def test_every_case_is_an_alerts() -> None:
    assert sorted(file.stem for file in CASES.glob("*.yaml")) == sorted(ALERTS)


async def test_kustomize_makes_the_rules_the_monitor_and_the_dashboard(
    tmp_path: Path, report_progress: ReportProgress
) -> None:
    await require(KUBECTL, report_progress=report_progress)
    _write_overlay(tmp_path)
    objects = {one["kind"]: one for one in yaml.safe_load_all(await output_of("kubectl", "kustomize", str(tmp_path)))}
    assert set(objects) == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    assert {one["metadata"]["namespace"] for one in objects.values()} == {"infra"}
    assert objects["PrometheusRule"]["spec"] == SPEC
    assert objects["ConfigMap"]["metadata"]["name"] == "eureka-drain-dashboard"
    assert objects["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    dashboard = (COMPONENTS / "grafana-dashboard" / "dashboard.json").read_text()
    assert objects["ConfigMap"]["data"] == {"eureka-drain.json": dashboard}
    monitor = objects["PodMonitor"]["spec"]
    label = monitor["jobLabel"]
    assert monitor["selector"]["matchLabels"][label] == "eureka-drain", "the rules ask for this job"
    assert [(end["port"], end["path"]) for end in monitor["podMetricsEndpoints"]] == [("metrics", "/metrics")]


def _write_overlay(folder: Path) -> None:
    # Kustomize takes no absolute path.
    components = [os.path.relpath(COMPONENTS / name, folder) for name in ("prometheus", "grafana-dashboard")]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"components": components, "namespace": "infra"}))
