"""Quick caches by kustomize, for a team's own overlay: which of the policy's cases come out the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.manifests.policed_pods import a_container, a_pod, a_spec, made
from tests.manifests.rendering import Object, of_kind, render, write_overlay
from tests.manifests.test_eureka_clients import CASES, added, env, looks
from tests.stack.cluster import Cluster

KINDS = ("Deployment", "StatefulSet", "DaemonSet")

OTHERWISE: dict[str, dict[str, dict[str, str]]] = {
    # What a container has under the very name is replaced; in another spelling it stands beside ours.
    "its own interval": {"main": added()},
    "its own interval, spelt as of old": {"main": {"EUREKA_CLIENT_REGISTRY_FETCH_INTERVAL_SECONDS": "30"} | added()},
    "its own properties, spelt as such": {
        "main": {
            "eureka.client.registry-fetch-interval-seconds": "9",
            "spring.cloud.loadbalancer.cache.ttl": "9s",
            "ribbon.ServerListRefreshInterval": "9000",
            "eureka.instance.metadata-map.pod-uid": "mine",
        }
        | added()
    },
    "twenty-one containers": {f"c{number}": added() for number in range(21)},
}
"""The policy's cases that come out otherwise, as docs/clients.md says."""
ELSEWHERE = {"work that completes", "static"}
"""Those of pods that no such workload makes."""


def a_workload(spec: Object, kind: str = "Deployment", **metadata: object) -> Object:
    labels = {"app": "orders"}
    fields: Object = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    if kind == "StatefulSet":
        fields["serviceName"] = "orders"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "orders", **metadata}, "spec": fields}


def with_component(folder: Path, *objects: Object) -> tuple[Object, ...]:
    """What a team's overlay renders."""
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    component = "../workloads/eureka-clients"
    return render(write_overlay(folder, components=(component,), resources=["objects.yaml"], namePrefix="blue-"))


def environment_of(workload: Object) -> dict[str, dict[str, str]]:
    return looks(workload["spec"]["template"])


@pytest.mark.parametrize("name", [name for name in CASES if name not in ELSEWHERE])
def test_each_container_gets_it(tmp_path: Path, name: str) -> None:
    [workload] = with_component(tmp_path, a_workload(CASES[name].spec))
    assert environment_of(workload) == OTHERWISE.get(name, CASES[name].env)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_api_server_takes_every_kind_of_workload(cluster: Cluster, tmp_path: Path) -> None:
    """As it stands in a file: a number would be no value of a variable."""
    objects = with_component(tmp_path, *(a_workload(a_spec(), kind) for kind in KINDS))
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    said = await cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))
    assert said.count("created (server dry run)") == len(KINDS)
    for one in objects:
        spec = one["spec"]["template"]["spec"]
        assert looks(await made(cluster, "default", a_pod(spec))) == {"main": added()}


def test_a_workload_that_says_no_and_what_is_none_stay_as_they_are(tmp_path: Path) -> None:
    slow = a_workload(a_spec(a_container(env=env(A="1"))), annotations={"eureka.drain/clients": "off"})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "orders"}}
    objects = with_component(tmp_path, slow, account)
    assert {one["kind"] for one in objects} == {"Deployment", "ServiceAccount"}
    assert environment_of(of_kind(objects, "Deployment")["blue-orders"]) == {"main": {"A": "1"}}
