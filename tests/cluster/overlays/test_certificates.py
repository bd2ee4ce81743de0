"""The broker's authority, certificate and password change, each in a Secret, while the same pods go on draining."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from tests.cluster.brokers import certify_brokers, rabbitmqctl
from tests.cluster.ending import Table, living
from tests.cluster.home import INFRA, PRODUCT, SHOP
from tests.cluster.overlays.installing import VHOST, applied, give_secrets, roll_out, services
from tests.cluster.scene import ROLES, Scene
from tests.install.desk import Desk
from tests.stack.authority import Authority
from tests.stack.waiting import until

pytestmark = pytest.mark.timeout(1_500)
USER = "eureka-drain"
CA_FILE = "/etc/eureka-drain-tls/broker/ca.crt"
URL_FILE = "/run/secrets/eureka-drain/broker__url"
READ = "import sys; sys.stdout.write(open(sys.argv[1]).read())"
BROUGHT_TIMEOUT = 180.0
"""Seconds until a kubelet has brought a changed Secret."""


async def trust(scene: Scene, *authorities: Authority) -> str:
    """Change what the product trusts, and return the new content of its file."""
    pem = b"".join(one.pem for one in authorities)
    for name in ("eureka-drain-broker-tls", "eureka-drain-eureka-tls"):
        await scene.put_secret(PRODUCT, name, {"ca.crt": pem})
    return pem.decode()


async def change_password(scene: Scene) -> str:
    """Change it at the broker and in the product's Secrets, and return the new URL."""
    password = secrets.token_hex(8)
    url = f"amqps://{USER}:{password}@rabbitmq.{INFRA}:5671/{VHOST}"
    await give_secrets(scene, *ROLES, "sweep", broker_url=url)
    await rabbitmqctl(scene, "change_password", USER, password)
    return url


async def certify_and_restart(scene: Scene, authority: Authority) -> None:
    """Give the brokers another certificate, and restart them in turn."""
    await certify_brokers(scene, authority)
    await scene.kubectl("-n", INFRA, "rollout", "restart", "statefulset/rabbitmq")
    await scene.rolled_out(INFRA, "statefulset/rabbitmq")


async def brought(scene: Scene, file: str, content: str) -> None:
    """Wait until a file has its new content in every pod of the product."""

    async def look() -> bool:
        words = ("--", "python3", "-c", READ, file)
        found = [await scene.kubectl("-n", PRODUCT, "exec", name, *words) for name in await processes(scene)]
        return all(one == content for one in found)

    await until(look, f"the new {file} in all pods", timeout=BROUGHT_TIMEOUT, interval=3)


async def processes(scene: Scene) -> dict[str, int]:
    """Return the product's living pods, and how often each has started again."""
    return {
        one["metadata"]["name"]: sum(status["restartCount"] for status in one["status"]["containerStatuses"])
        for one in await living(scene, namespace=PRODUCT)
    }


def with_tls(desk: Desk) -> str:
    """Make an overlay by the words of the component, and return its name."""
    overlays = desk.folder / "manifests" / "overlays"
    mine = overlays / "with-tls"
    mine.mkdir()
    text = (overlays / "one-cluster" / "kustomization.yaml").read_text()
    priority = "  - ../../components/priority\n"
    (mine / "kustomization.yaml").write_text(text.replace(priority, priority + "  - ../../components/tls\n"))
    settings = (overlays / "one-cluster" / "controller.yaml").read_text()
    (mine / "controller.yaml").write_text(f"{settings}broker:\n  ca_file: {CA_FILE}\n")
    return mine.name


async def test_the_same_pods_drain_while_certificates_and_passwords_change(
    scene: Scene, desk: Desk, table: Table
) -> None:
    old, new = Authority(), Authority()
    await rabbitmqctl(scene, "add_user", USER, "not-yet")
    await rabbitmqctl(scene, "set_permissions", "-p", VHOST, USER, ".*", ".*", ".*")
    await certify_and_restart(scene, old)
    async with services(scene, SHOP, eureka=INFRA), applied(desk, await asyncio.to_thread(with_tls, desk)):
        await trust(scene, old)
        await change_password(scene)
        await scene.product_rolled_out()
        before = await processes(scene)
        await roll_out(scene, table, "rolled out, connected by TLS (`tls`)", SHOP)

        await brought(scene, CA_FILE, await trust(scene, old, new))
        await certify_and_restart(scene, new)
        await brought(scene, CA_FILE, await trust(scene, new))
        await brought(scene, URL_FILE, await change_password(scene))
        await rabbitmqctl(scene, "close_all_user_connections", USER, "changed")
        await roll_out(scene, table, "rolled out after the broker's authority, certificate and password changed", SHOP)
        assert await processes(scene) == before
        assert set(before.values()) == {0}
    await rabbitmqctl(scene, "delete_user", USER)
