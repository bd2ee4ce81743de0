"""A release of the Helm chart from its installation to its end, beside the one that the page makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.install.conftest import IMAGE, Installed
from tests.stack.kube_client import path
from tests.stack.parts import helm as built_helm
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until

RELEASE = "blue"
NAME = f"{RELEASE}-eureka-drain"
OPS = f"-n {RELEASE} deployment/{NAME}-ops"
KINDS = (
    "serviceaccounts,configmaps,services,deployments,cronjobs,poddisruptionbudgets,networkpolicies,"
    "clusterroles,clusterrolebindings,priorityclasses"
)


@dataclass(frozen=True)
class Release:
    """One that is installed."""

    installed: Installed
    helm: Path
    values: Path

    async def helm_does(self, verb: str, *words: str) -> str:
        """Call it at the desk."""
        return await self.installed.desk.run(" ".join((str(self.helm), verb, RELEASE, *words, "-n", RELEASE)))

    def given(self, retention: str) -> str:
        """The values, as words of a call."""
        nodes = [url for there, url in self.installed.hosts.items() if there.startswith("http")]
        settings = {
            "watch": {"cluster": RELEASE},
            "regions": {"eu": {"nodes": nodes}},
            "retention": retention,
        }
        self.values.write_text(yaml.safe_dump({"image": {"repository": IMAGE}, "settings": settings}))
        return f"charts/eureka-drain -f {self.values}"

    async def rolled_out(self) -> None:
        """Wait for every Deployment."""
        for role in ("topology", "watch", "work-eu", "ops"):
            name = f"deployment/{NAME}-{role}"
            await self.installed.desk.run(f"kubectl -n {RELEASE} rollout status {name} --timeout=3m")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def release(
    installed: Installed, report_progress: ReportProgress, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Release]:
    """With a virtual host and a user of its own."""
    helm = await built_helm(report_progress) / "helm"
    made = Release(installed, helm, tmp_path_factory.mktemp("chart") / "values.yaml")
    secrets = "\n".join(
        f"kubectl -n {RELEASE} create secret generic {NAME}-{role} "
        f"--from-literal=broker__url=amqp://{RELEASE}:made-up@{installed.hosts['rabbitmq.infra:5672']}/{RELEASE}"
        for role in ("watch", "work", "ops", "sweep", "topology")
    )
    await installed.desk.run(
        f"rabbitmqctl add_vhost {RELEASE}\n"
        f"rabbitmqctl add_user {RELEASE} made-up\n"
        f"rabbitmqctl set_permissions --vhost {RELEASE} {RELEASE} '.*' '.*' '.*'\n"
        f"kubectl create namespace {RELEASE}\n{secrets}"
    )
    await made.helm_does("install", made.given("2m"))
    await made.rolled_out()
    yield made
    await installed.desk.run(f"kubectl delete namespace {RELEASE} --wait=false\nrabbitmqctl delete_vhost {RELEASE}")


async def test_a_release_drains_and_its_own_test_passes(release: Release, orders: str) -> None:
    assert "Phase:          Succeeded" in await release.helm_does("test", "--timeout 3m")
    before = await release.installed.pods()
    await release.installed.desk.run(f"kubectl -n shop rollout restart deployment/{orders}")
    await release.installed.drained(before, OPS)


async def test_no_drain_is_missed_while_it_is_upgraded_and_rolled_back(release: Release, orders: str) -> None:
    for does in (("upgrade", release.given("1m")), ("rollback",)):
        await release.installed.desk.run(f"kubectl -n shop rollout status deployment/{orders} --timeout=3m")
        before = await release.installed.pods()
        await release.helm_does(*does)
        await release.installed.desk.run(f"kubectl -n shop rollout restart deployment/{orders}")
        await release.rolled_out()
        await release.installed.drained(before, OPS)
    settings = await release.installed.cluster.client.get("configmaps", f"{NAME}-settings", RELEASE)
    assert settings is not None
    assert "retention: 2m" in settings["data"]["controller.yaml"]


async def test_nothing_of_it_stays_but_what_is_ours(release: Release) -> None:
    await release.helm_does("uninstall", "--wait")
    left = f"kubectl -n {RELEASE} get {KINDS} -l app.kubernetes.io/instance={RELEASE} -o name"

    async def nothing() -> bool:
        return not await release.installed.desk.run(left)

    await until(nothing, "every object deleted", timeout=60, interval=1)
    secrets = await release.installed.cluster.client.call("GET", path("secrets", RELEASE))
    assert {one["metadata"]["name"] for one in secrets["items"]} == {
        f"{NAME}-{role}" for role in ("watch", "work", "ops", "sweep", "topology")
    }
