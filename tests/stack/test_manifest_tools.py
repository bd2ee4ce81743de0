"""What checks the manifests is built from its source, and found again."""

import pytest
import yaml

from tests.stack.definitions import KYVERNO, PROMETHEUS_OPERATOR, Definitions
from tests.stack.parts import kube_score
from tests.stack.prerequisites import ReportProgress
from tests.stack.processes import output_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_kube_score_can_be_built_and_lists_its_checks(report_progress: ReportProgress) -> None:
    assert "pod-networkpolicy,Pod" in await output_of(str(await kube_score(report_progress) / "kube-score"), "list")


@pytest.mark.parametrize(
    ("definitions", "kinds"),
    [(PROMETHEUS_OPERATOR, {"PodMonitor", "PrometheusRule"}), (KYVERNO, {"MutatingPolicy"})],
    ids=lambda given: given.what if isinstance(given, Definitions) else "",
)
async def test_other_projects_resources_are_definitions(
    report_progress: ReportProgress, definitions: Definitions, kinds: set[str]
) -> None:
    files = (await definitions.folder(report_progress)).glob("*.yaml")
    assert {yaml.safe_load(file.read_text())["spec"]["names"]["kind"] for file in files} == kinds
