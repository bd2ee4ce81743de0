"""The Helm chart in the real cluster: installed, tested, changed while services roll out, and taken away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster.ending import Table
from tests.cluster.home import INFRA, PRODUCT, SHOP
from tests.cluster.images import PRODUCT_IMAGE
from tests.cluster.overlays.installing import (
    assert_nothing_is_wrong,
    give_secrets,
    own_namespace,
    roll_out,
    services,
)
from tests.cluster.scene import Scene
from tests.install.desk import Desk
from tests.stack.parts import helm as built_helm
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until

pytestmark = pytest.mark.timeout(1_500)
RELEASE = "eureka-drain"
ROLES = ("topology", "watch", "work-eu", "ops")
KINDS = (
    "serviceaccounts,configmaps,services,deployments,cronjobs,poddisruptionbudgets,networkpolicies,"
    "roles,clusterroles,clusterrolebindings,priorityclasses"
)


@dataclass(frozen=True)
class Chart:
    """A release at the desk."""

    desk: Desk
    helm: Path
    values: Path

    async def does(self, verb: str, *words: str) -> str:
        """Call helm."""
        return await self.desk.run(" ".join((str(self.helm), verb, RELEASE, *words, "-n", PRODUCT)))

    def given(self, retention: str) -> str:
        """The values, as words of a call."""
        nodes = [f"http://eureka-{number}.eureka.{INFRA}:8761/eureka" for number in (0, 1)]
        settings = {"watch": {"cluster": "chart"}, "regions": {"eu": {"nodes": nodes}}, "retention": retention}
        repository = PRODUCT_IMAGE.rpartition(":")[0]
        self.values.write_text(yaml.safe_dump({"image": {"repository": repository}, "settings": settings}))
        return f"charts/eureka-drain -f {self.values}"


async def test_a_release_drains_and_is_changed_while_services_roll_out(
    scene: Scene, desk: Desk, table: Table, report_progress: ReportProgress, tmp_path: Path
) -> None:
    chart = Chart(desk, await built_helm(report_progress) / "helm", tmp_path / "values.yaml")
    async with own_namespace(scene, PRODUCT), services(scene, SHOP, eureka=INFRA):
        await give_secrets(scene, "topology", "watch", "work", "ops", "sweep")
        await chart.does("install", chart.given("2m"))
        await scene.product_rolled_out(*ROLES)
        assert "Phase:          Succeeded" in await chart.does("test", "--timeout 3m")
        await assert_nothing_is_wrong(scene, "ops")
        await roll_out(scene, table, "rolled out, installed by the Helm chart", SHOP)

        changes: list[tuple[str, Callable[[], str]]] = [
            ("upgraded", lambda: f"upgrade {chart.given('1m')}"),
            ("rolled back", lambda: "rollback"),
        ]
        for name, words in changes:
            verb, _, rest = words().partition(" ")
            changing = asyncio.create_task(chart.does(verb, rest))
            await roll_out(scene, table, f"rolled out while the chart was {name}", SHOP)
            await changing
            await scene.product_rolled_out(*ROLES)
        file = await scene.kubectl("-n", PRODUCT, "get", "configmap", "eureka-drain-settings", "-o", "json")
        assert "retention: 2m" in json.loads(file)["data"]["controller.yaml"]

        await chart.does("uninstall", "--wait")

        async def nothing() -> bool:
            selector = f"app.kubernetes.io/instance={RELEASE}"
            return not await scene.kubectl("-n", PRODUCT, "get", KINDS, "-l", selector, "-o", "name")

        await until(nothing, "every object of the release deleted", timeout=90, interval=2)
