"""What checks the manifests is built from its source, and found again."""

import pytest
import yaml

from tests.stack.parts import kube_score, prometheus_operator_crds
from tests.stack.prerequisites import ReportProgress
from tests.stack.processes import output_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_kube_score_can_be_built_and_lists_its_checks(report_progress: ReportProgress) -> None:
    assert "pod-networkpolicy,Pod" in await output_of(str(await kube_score(report_progress) / "kube-score"), "list")


async def test_the_operators_resources_are_definitions(report_progress: ReportProgress) -> None:
    found = [
        yaml.safe_load(file.read_text()) for file in (await prometheus_operator_crds(report_progress)).glob("*.yaml")
    ]
    assert {one["spec"]["names"]["kind"] for one in found} == {"PodMonitor", "PrometheusRule"}
