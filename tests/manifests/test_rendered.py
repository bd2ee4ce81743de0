"""What kustomize makes of every overlay, held against the settings and the code."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import typer

from controller.app.role_settings import check_regions
from controller.cli import app
from controller.domain.causes import Cause
from controller.domain.roles import DESTINATIONS, Destination, Role
from controller.domain.routing import Routing, make_commands
from controller.kube.pod_decoder import decode_pod
from controller.ops.auth.headers import REQUEST_TIMEOUT
from controller.ops.metrics import Metrics
from controller.ops.port.http_server import serve
from controller.settings import HttpSettings
from tests.manifests.rendering import (
    BROKER_URL,
    MANIFESTS,
    NAME,
    OVERLAYS,
    REGION,
    Object,
    Workload,
    egress_ports,
    ingress_rules,
    of_kind,
    ours,
    overlay,
    render,
    selects,
    settings_of,
    workloads,
)

VERSION = tomllib.loads((MANIFESTS.parent / "pyproject.toml").read_text())["project"]["version"]
CANCEL, CLOSE = timedelta(seconds=2), timedelta(seconds=3)
"""What the consumer and its connections take at most beside ``shutdown_timeout``."""

pytestmark = pytest.mark.parametrize("name", ["base", *OVERLAYS])


@pytest.fixture
def objects(name: str) -> tuple[Object, ...]:
    return render(MANIFESTS / "base") if name == "base" else overlay(name)


def each(objects: tuple[Object, ...], *roles: str) -> Iterator[Workload]:
    """The workloads of these roles, of which there is at least one each."""
    for role in roles:
        found = [one for one in ours(objects) if one.role == role]
        assert found, f"nothing does the {role}"
        yield from found


def test_every_role_runs_and_nothing_else(objects: tuple[Object, ...], name: str) -> None:
    assert {(one.object["kind"], one.role) for one in ours(objects)} == {
        ("Deployment", "watch"),
        ("Deployment", "work"),
        ("Deployment", "ops"),
        ("CronJob", "sweep"),
        *([("Deployment", "topology")] if name in ("one-cluster", "multi-region") else []),
    }


def test_the_command_line_takes_what_the_pods_give_it(objects: tuple[Object, ...]) -> None:
    root: Any = typer.main.get_command(app)
    for workload in ours(objects):
        role, *rest = workload.args
        context = root.make_context("eureka-drain", list(workload.args))
        given = root.get_command(context, role).make_context(role, rest, parent=context).params
        assert role == workload.role
        assert given.get("region", []) == ([workload.labels[REGION]] if workload.role == "work" else [])


def test_every_pod_finds_its_settings_and_its_secret(objects: tuple[Object, ...], tmp_path: Path) -> None:
    regions, worked = set(), set()
    for workload in ours(objects):
        settings = settings_of(workload, objects, tmp_path / workload.name)
        regions |= set(settings.regions)
        assert settings.broker.url.get_secret_value() == BROKER_URL
        check_regions(settings, watch=True, work=[])
        if workload.role == "work":
            check_regions(settings, watch=False, work=[workload.labels[REGION]])
            worked.add(workload.labels[REGION])
        assert settings.watch.namespaces == ([] if of_kind(objects, "ClusterRole") else ["shop"])
    assert worked == regions, "each region has workers, and no other one has"


def test_settings_that_change_restart_what_reads_them(objects: tuple[Object, ...]) -> None:
    (settings,) = of_kind(objects, "ConfigMap")
    assert settings.startswith("eureka-drain-settings-"), "without a hash nothing would notice"
    for workload in ours(objects):
        assert [one["configMap"]["name"] for one in workload.pod["volumes"] if "configMap" in one] == [settings]


def test_each_role_reads_a_secret_of_its_own_that_is_not_made_here(objects: tuple[Object, ...], name: str) -> None:
    made = of_kind(objects, "Secret")
    assert bool(made) == (name == "demo")
    for workload in ours(objects):
        (secret,) = [one["secret"] for one in workload.pod["volumes"] if "secret" in one]
        assert secret["secretName"].startswith(f"eureka-drain-{workload.role}")
        assert secret["secretName"] in made or secret["secretName"] == f"eureka-drain-{workload.role}"
        assert secret["defaultMode"] == 0o440, "for the group below, and nobody else"
        assert workload.pod["securityContext"]["fsGroup"] == workload.pod["securityContext"]["runAsGroup"]


def test_the_version_is_the_programs(objects: tuple[Object, ...]) -> None:
    for workload in ours(objects):
        registry, tag = workload.container["image"].rsplit(":", 1)
        assert registry.rpartition("/")[2] == "eureka-drain"
        assert tag == workload.labels["app.kubernetes.io/version"] == VERSION
        assert workload.object["metadata"]["labels"]["app.kubernetes.io/version"] == VERSION


def test_a_new_version_can_take_over_from_an_old_one(objects: tuple[Object, ...]) -> None:
    for workload in each(objects, "watch", "work", "ops"):
        selector = workload.object["spec"]["selector"]
        assert selects(selector, workload.labels)
        assert "app.kubernetes.io/version" not in selector["matchLabels"], "a selector can never be changed"


def test_everything_is_labelled(objects: tuple[Object, ...]) -> None:
    metadata = [
        one["metadata"]
        for one in objects
        if "eureka-drain" in one["metadata"]["name"]
        and "rabbitmq" not in one["metadata"]["name"]
        # Kustomize generates the others, without labels.
        and (one["kind"] not in ("ConfigMap", "Secret") or NAME in one["metadata"].get("labels", {}))
    ]
    names = {(one["labels"][NAME], one["labels"]["app.kubernetes.io/part-of"]) for one in metadata}
    assert names == {("eureka-drain", "eureka-drain")}


def test_probes_ask_what_the_program_serves_where_it_serves_it(objects: tuple[Object, ...], tmp_path: Path) -> None:
    for workload in each(objects, "watch", "work", "ops"):
        settings = settings_of(workload, objects, tmp_path / workload.name)
        ports = {port["name"]: port["containerPort"] for port in workload.container["ports"]}
        assert ports == {"http": settings.http.port, "metrics": settings.http.metrics_port}
        assert ports == {"http": 8080, "metrics": 8081}
        asked = {kind: workload.container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert asked == {
            "startup": {"path": "/healthz", "port": "http"},
            "liveness": {"path": "/healthz", "port": "http"},
            "readiness": {"path": "/readyz", "port": "http"},
        }


async def test_what_is_probed_is_served(objects: tuple[Object, ...]) -> None:
    metrics = Metrics(regions=("eu",), watch=True, work=("eu",), ops=True)
    probes = [value for one in ours(objects) for key, value in one.container.items() if key.endswith("Probe")]
    paths = {probe["httpGet"]["path"] for probe in probes}
    assert paths
    settings = HttpSettings(host="127.0.0.1", port=0)
    async with serve(settings, metrics, {"ready": lambda: True}) as ports, aiohttp.ClientSession() as session:
        for path in sorted(paths):
            async with session.get(f"http://127.0.0.1:{ports.http}{path}") as answer:
                assert answer.status == 200


def test_the_service_leads_to_ops_alone(objects: tuple[Object, ...]) -> None:
    service = of_kind(objects, "Service")["eureka-drain-ops"]["spec"]
    assert service["type"] == "ClusterIP"
    chosen = [one.role for one in workloads(objects) if selects({"matchLabels": service["selector"]}, one.labels)]
    assert chosen == ["ops"]
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(80, "http")]


def test_who_is_stopped_has_the_time_that_the_program_takes(objects: tuple[Object, ...], tmp_path: Path) -> None:
    for workload in each(objects, "watch", "work", "ops"):
        within = settings_of(workload, objects, tmp_path / workload.name).shutdown_timeout
        assert within == timedelta(seconds=15)
        budget = CANCEL + within + CLOSE
        if workload.role == "ops":
            sleep = workload.container["lifecycle"]["preStop"]["sleep"]["seconds"]
            budget += timedelta(seconds=sleep + REQUEST_TIMEOUT)
        assert timedelta(seconds=workload.pod["terminationGracePeriodSeconds"]) > budget


def test_a_rollout_never_has_fewer_pods_than_before(objects: tuple[Object, ...]) -> None:
    for workload in each(objects, "watch", "work", "ops"):
        assert workload.object["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
        assert workload.object["spec"]["replicas"] == (1 if workload.role == "ops" else 2)


def test_a_node_can_be_emptied_and_one_of_each_keeps_running(objects: tuple[Object, ...]) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    for workload in workloads(objects):
        if workload.object["kind"] == "CronJob":
            continue
        (budget,) = [one["spec"] for one in budgets.values() if selects(one["spec"]["selector"], workload.labels)]
        if workload.role in ("watch", "work"):
            assert budget["minAvailable"] == 1 < workload.object["spec"]["replicas"]
        else:
            assert budget["maxUnavailable"] == 1
        if workload.role:
            assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert len(budgets) == sum(one.object["kind"] != "CronJob" for one in workloads(objects))


def test_replicas_are_spread_and_fit_on_a_single_node(objects: tuple[Object, ...]) -> None:
    for workload in each(objects, "watch", "work"):
        # One key: with a second one that no node bears, such as a zone, kube-scheduler would leave out both.
        (hosts,) = workload.pod["topologySpreadConstraints"]
        (preferred,) = workload.pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        zones = preferred["podAffinityTerm"]
        assert hosts["whenUnsatisfiable"] == "ScheduleAnyway"
        assert (hosts["topologyKey"], zones["topologyKey"]) == ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        for one in (hosts, zones):
            assert one["matchLabelKeys"] == ["pod-template-hash"], "an old pod beside a new one does not count"
            chosen = [other.name for other in workloads(objects) if selects(one["labelSelector"], other.labels)]
            assert chosen == [workload.name]


def test_its_own_pods_are_no_drains(objects: tuple[Object, ...]) -> None:
    everywhere = Routing(cluster="test", known=("eu",), default=("eu",), namespaces={})
    for workload in ours(objects):
        annotations = workload.template["metadata"].get("annotations")
        meta = {"namespace": "infra", "name": workload.name, "uid": "1", "annotations": annotations}
        pod, _ = decode_pod(json.dumps({"metadata": meta, "spec": {}, "status": {"podIP": "10.1.0.1"}}).encode())
        assert make_commands(pod, Cause.deleted, datetime.now(UTC), everywhere) == []


def test_the_sweep_comes_round_and_never_twice_at_a_time(objects: tuple[Object, ...]) -> None:
    (sweep,) = each(objects, "sweep")
    spec = sweep.object["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert sweep.pod["restartPolicy"] == "Never"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3_600, "over before the next one"


def test_nothing_can_write_to_its_image_or_become_more_than_it_is(objects: tuple[Object, ...]) -> None:
    for workload in workloads(objects):
        pod = workload.pod
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert workload.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for kind in ("requests", "limits"):
            assert set(workload.container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}
        if workload.role:
            assert all(mount["readOnly"] for mount in workload.container["volumeMounts"])


def test_each_may_connect_to_what_its_role_connects_to_and_to_nothing_else(
    objects: tuple[Object, ...], tmp_path: Path
) -> None:
    for workload in ours(objects):
        settings = settings_of(workload, objects, tmp_path / workload.name)
        ports = {
            Destination.kubernetes: {("TCP", 443), ("TCP", 6443)},
            Destination.broker: {("TCP", 5671), ("TCP", 5672)},
            Destination.eureka: {
                ("TCP", urlsplit(node.get_secret_value()).port or 443)
                for region in settings.regions.values()
                for node in region.nodes
            },
        }
        # Doctor has no role for what only declares at the broker.
        topology = {Destination.broker}
        reached = topology if workload.role == "topology" else DESTINATIONS[Role(workload.role)]
        names = {("UDP", 53), ("TCP", 53)}
        assert egress_ports(workload, objects) == names.union(*(ports[one] for one in reached))


def test_only_namespaces_that_are_let_in_reach_each_port(objects: tuple[Object, ...]) -> None:
    for workload in ours(objects):
        assert ingress_rules(workload, objects) == [
            {
                "from": [{"namespaceSelector": {"matchLabels": {label: "true"}}}],
                "ports": [{"port": port, "protocol": "TCP"}],
            }
            for label, port in (("eureka.drain/client", "http"), ("eureka.drain/metrics", "metrics"))
        ]


def test_who_ignores_a_check_says_why(objects: tuple[Object, ...]) -> None:
    for workload in workloads(objects):
        annotations = workload.object["metadata"]["annotations"]
        assert annotations["kube-score/ignore"] == "container-image-pull-policy"
        assert annotations["kube-score/reason"]
