"""The rights are enough: the program's own calls, with the tokens of the manifests' own service accounts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from controller.domain.kubernetes_events import KubernetesEvent
from controller.domain.pods import Pod
from controller.flows.ports import Recorded
from controller.kube.event_recorder import KubeEventRecorder
from controller.kube.listing import Census, read_pod
from controller.kube.node_feed import KubeNodeFeed
from controller.kube.reviews import Reviews
from tests.contract.following import Following, connected, feed_of
from tests.manifests.conftest import Apply
from tests.manifests.rendering import Object, ours, overlay
from tests.stack.cluster import Cluster
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def a_strict_pod() -> Object:
    """One that the namespaces of the examples let in; it idles."""
    watch = ours(overlay("one-cluster"))[0]
    container = {"name": "c", "image": "i", "securityContext": watch.container["securityContext"]}
    spec = {"securityContext": watch.pod["securityContext"], "containers": [container]}
    return {"metadata": {"generateName": "orders-"}, "spec": spec}


def an_event_at(pod: Pod) -> KubernetesEvent:
    """The Kubernetes Event at a drained pod."""
    return KubernetesEvent(
        name="tests.1",
        namespace=pod.namespace,
        pod=pod.name,
        uid=pod.uid,
        reason="Drained",
        warning=False,
        message="of the tests",
        at=datetime.now(UTC),
    )


@pytest.mark.parametrize(("name", "namespaces"), [("one-cluster", []), ("namespaced", ["shop"])])
async def test_the_watch_and_the_sweep_may_do_what_they_do(
    cluster: Cluster, apply: Apply, monkeypatch: pytest.MonkeyPatch, name: str, namespaces: list[str]
) -> None:
    namespace = await apply(name)
    (where,) = namespaces or [namespace]
    file = await cluster.api.service_account_kubeconfig("eureka-drain-watch", namespace)
    async with connected(file, monkeypatch) as api, Following(feed_of(api, namespaces=namespaces)) as following:
        await until(lambda: following.lists, "a list")
        made = (await cluster.client.create("pods", a_strict_pod(), where))["metadata"]
        await until(lambda: made["uid"] in {pod.uid for _, pod in following.of(where)}, "the pod on the watch")
        seen = await read_pod(api, where, made["name"])
        assert await KubeEventRecorder(api).record(an_event_at(seen)) == Recorded()
        if not namespaces:
            nodes = KubeNodeFeed(api, page_size=500, clock=lambda: datetime.now(UTC)).follow()
            assert (await anext(nodes)).name == cluster.node.name
    file = await cluster.api.service_account_kubeconfig("eureka-drain-sweep", namespace)
    async with connected(file, monkeypatch) as api:
        census = Census(api, namespaces=namespaces, page_size=500)
        assert made["uid"] in {pod.uid for pod in await census.take()}
        assert await census.is_whole() is not bool(namespaces)


async def test_ops_asks_whose_a_token_is_and_what_its_user_may(
    cluster: Cluster, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = await apply("one-cluster")
    file = await cluster.api.service_account_kubeconfig("eureka-drain-ops", namespace)
    token = yaml.safe_load(file.read_text())["users"][0]["user"]["token"]
    async with connected(file, monkeypatch) as api:
        reviews = Reviews(api)
        who = await reviews.who(token)
        assert who is not None
        assert who.name == f"system:serviceaccount:{namespace}:eureka-drain-ops"
        assert (await reviews.may(who, "create", "replays"))[0] is False
