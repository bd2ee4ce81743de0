"""`kubectl drains` through a port that a real kubelet forwards, for a person with two rights in one namespace."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml

from tests.cluster.ending import living
from tests.cluster.home import PRODUCT, SHOP
from tests.cluster.keys import ADMIN_KUBECONFIG
from tests.cluster.scene import Scene, app_of
from tests.e2e.plugin_desk import PluginDesk
from tests.stack.waiting import until

PERSON = "person"


async def kubeconfig_of_a_person(scene: Scene, file: Path) -> Path:
    """A service account that is bound to the operators' Role, and to nothing else."""
    await scene.kubectl("-n", "default", "create", "serviceaccount", PERSON)
    words = ("--role=eureka-drain-operator", f"--serviceaccount=default:{PERSON}")
    await scene.kubectl("-n", PRODUCT, "create", "rolebinding", "drains-operators", *words)
    token = await scene.kubectl("-n", "default", "create", "token", PERSON)
    made = yaml.safe_load(await asyncio.to_thread(ADMIN_KUBECONFIG.read_text))
    made["users"] = [{"name": one["name"], "user": {"token": token.strip()}} for one in made["users"]]
    await asyncio.to_thread(file.write_text, yaml.safe_dump(made))
    return file


async def test_a_pod_is_taken_out_and_put_back_with_a_kubeconfig_alone(shop: Scene, tmp_path: Path) -> None:
    desk = PluginDesk(tmp_path, await kubeconfig_of_a_person(shop, tmp_path / "kubeconfig"))
    await desk.install()
    [first, *_] = await living(shop, "orders")
    pod = f"{SHOP}/{first['metadata']['name']}"
    instance_id = (await shop.known())[first["status"]["podIP"]]
    out = await desk.run("drain", pod, "--reason", "leaks memory")
    assert "out_of_service" in out.row(pod)
    assert set(await shop.statuses(app_of(instance_id), instance_id)) == {"OUT_OF_SERVICE"}
    [drain] = (await desk.run("--pod", pod, "-o", "json")).objects
    assert drain["requested_by"].startswith("system:serviceaccount:eureka-drain:eureka-drain-operator, for system:")
    assert instance_id in (await desk.run("show", drain["drain_id"])).data
    assert "restored" in (await desk.run("restore", pod)).row(pod)

    async def serves() -> bool:
        return set(await shop.statuses(app_of(instance_id), instance_id)) == {"UP"}

    await until(serves, "the instance UP", timeout=30)
    secret = await desk.run("show", "x", "--ops-namespace", "kube-system", expect=1)
    assert "forbidden" in secret.messages
