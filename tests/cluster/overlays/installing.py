"""Installing an overlay, services beside it, and more regions: each is taken away when its context ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from tests.cluster import manifests
from tests.cluster.ending import Table, all_begin_to_end, ending, living
from tests.cluster.home import INFRA, PRODUCT
from tests.cluster.images import PRODUCT_IMAGE
from tests.cluster.scene import Scene
from tests.install.desk import Desk

VHOST = "overlays"
BROKER_URL = f"amqp://admin:not-a-secret@rabbitmq.{INFRA}:5672/{VHOST}"
"""Of a user who may everything there: the rights of each role are the page's matter."""
LOCAL_IMAGE = "docker.io/library/eureka-drain:0.1.0"
"""What a node calls an image that was built by docs/image.md and loaded into it."""
GONE_TIMEOUT = 180.0
"""Seconds for a namespace with all that is in it."""


async def load_local_image(scene: Scene) -> None:
    """Have the product's image at each node as it is called there by whoever builds it himself."""
    for node in scene.cluster.nodes:
        await asyncio.to_thread(node.run, "ctr", "-n", "k8s.io", "images", "tag", "--force", PRODUCT_IMAGE, LOCAL_IMAGE)


@asynccontextmanager
async def own_namespace(scene: Scene, name: str) -> AsyncIterator[None]:
    """A namespace that was not there before, and is not afterwards."""
    await scene.namespace(name)
    try:
        yield
    finally:
        await scene.kubectl("delete", "namespace", name, timeout=GONE_TIMEOUT)


@asynccontextmanager
async def applied(desk: Desk, overlay: str) -> AsyncIterator[None]:
    """An overlay, as it stands at the desk."""
    await desk.run(f"kubectl apply -k manifests/overlays/{overlay}")
    try:
        yield
    finally:
        await desk.run(f"kubectl delete -k manifests/overlays/{overlay} --ignore-not-found --timeout=3m")


@asynccontextmanager
async def region(cluster_scene: Scene, namespace: str) -> AsyncIterator[Scene]:
    """Two Eureka nodes more, in a namespace of their own."""
    async with aclosing(Scene(cluster_scene.cluster)) as made, own_namespace(made, namespace):
        await asyncio.gather(*(made.apply(namespace, text) for text in (manifests.eureka(), manifests.watchers())))
        await made.rolled_out(namespace, "statefulset/eureka")
        await made.find_nodes(namespace)
        yield made


@asynccontextmanager
async def services(scene: Scene, namespace: str, *, eureka: str) -> AsyncIterator[None]:
    """A Deployment `orders` of two pods, registered at the Eureka nodes of another namespace and known to callers."""
    [orders, *_] = manifests.services(eureka=eureka)
    async with own_namespace(scene, namespace):
        await scene.apply(namespace, orders)
        await scene.rolled_out(namespace, "deployment/orders")
        await scene.all_up(namespace)
        yield


async def give_secrets(scene: Scene, *roles: str, broker_url: str = BROKER_URL, **more: str) -> None:
    """Give roles their Secrets, or change them: where the broker is, and more settings."""
    settings = {"broker__url": broker_url, **more}
    for role in roles:
        await scene.put_secret(
            PRODUCT, f"eureka-drain-{role}", {name: value.encode() for name, value in settings.items()}
        )


async def roll_out(scene: Scene, table: Table, way: str, namespace: str) -> Sequence[str]:
    """Roll out `orders` anew, and see its old pods out and drained; return their names."""
    leaving = await living(scene, "orders", namespace=namespace)
    names = [one["metadata"]["name"] for one in leaving]
    async with ending(scene, table, way, leaving, namespace=namespace) as watched:
        await scene.kubectl("-n", namespace, "rollout", "restart", "deployment/orders")
        watched.began = await all_begin_to_end(scene, *names, timeout=300, namespace=namespace)
    await scene.rolled_out(namespace, "deployment/orders")
    return names


async def assert_nothing_is_wrong(scene: Scene, role: str) -> None:
    """Ask doctor in a pod of the role; its status is an error where something is."""
    words = ("exec", f"deployment/eureka-drain-{role}", "--", "eureka-drain", "doctor", "--role", role)
    assert "nothing wrong" in await scene.kubectl("-n", PRODUCT, *words)


async def regions_of(scene: Scene, pods: Sequence[str]) -> dict[str, set[str]]:
    """Return the regions in which each of these pods has drains."""
    drains = await scene.drains()
    return {pod: {one["region"] for one in drains if one["pod"] == pod} for pod in pods}
