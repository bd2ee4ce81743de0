"""Who follows docs/install.md line by line in a real cluster ends with a drained pod."""

from __future__ import annotations

from tests.cluster.conftest import follow
from tests.cluster.home import PRODUCT, SHOP
from tests.cluster.scene import Scene, app_of, is_living
from tests.install.desk import Desk

OUT = ("out_of_service", "removed")


async def test_what_is_installed_finds_nothing_wrong_with_itself(installed: Desk) -> None:
    output = await follow(installed, "4.")
    assert "wrong" not in output, output


async def test_its_replicas_are_on_both_nodes(scene: Scene, installed: Desk) -> None:
    nodes: dict[str, set[str]] = {}
    for pod in await scene.pods(PRODUCT):
        if is_living(pod):
            role = pod["metadata"]["labels"]["app.kubernetes.io/component"]
            nodes.setdefault(role, set()).add(pod["spec"]["nodeName"])
    twice = {role: found for role, found in nodes.items() if role in ("watch", "work")}
    assert {role: len(found) for role, found in twice.items()} == {"watch": 2, "work": 2}, nodes


async def test_a_rolling_restart_by_the_page_takes_out_the_old_pods(shop: Scene, installed: Desk) -> None:
    old = [one["metadata"]["name"] for one in await shop.pods(SHOP, "orders") if is_living(one)]
    await follow(installed, "5.")
    for name in old:
        await shop.drain_of(name, *OUT)
    living = await shop.all_up(SHOP)
    assert {app_of(one) for one in living} == {"orders", "ledger"}
