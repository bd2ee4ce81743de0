"""`kubectl drains` with a kubeconfig alone: what it shows and does, for a person who has no right at the broker."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from controller.domain.reason import Reason, ReasonCode
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings, SecretUrl
from controller.signals import beside
from tests.contract.accounts import Accounts
from tests.e2e.plugin_desk import PluginDesk
from tests.e2e.product import pod_with_silent_registration
from tests.manifests.rendering import overlay
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_command

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLURALS = {
    "ServiceAccount": "serviceaccounts",
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Service": "services",
}


@dataclass
class Scene:
    """A product with its Service and its accounts, and two persons' desks."""

    cluster: Cluster
    eureka: EurekaNodes
    accounts: Accounts
    namespace: str
    region: str
    broker_url: str
    operator: PluginDesk
    viewer: PluginDesk
    nobody: PluginDesk

    async def serving_pod(self, name: str) -> str:
        """A pod, and its registration; its instance id."""
        return await pod_with_silent_registration(self.cluster, self.eureka, self.namespace, name, app=self.region)


def people_and_service(namespace: str) -> list[dict[str, Any]]:
    """What the manifests give to people, and the Service, in another namespace and under names of their own."""
    chosen = [
        one
        for one in overlay("one-cluster")
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "people" or one["kind"] == "Service"
    ]
    text = json.dumps(chosen).replace("eureka-drain-viewer", f"{namespace}-viewer")
    text = text.replace("eureka-drain-operator", f"{namespace}-operator").replace('"eureka-drain"', f'"{namespace}"')
    text = text.replace(f'kubernetes.io/name": "{namespace}"', 'kubernetes.io/name": "eureka-drain"')
    moved: list[dict[str, Any]] = json.loads(text.replace('"eureka-drain-ops"', f'"{namespace}-ops"'))
    return moved


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes
) -> AsyncIterator[Scene]:
    folder, region = tmp_path_factory.mktemp("plugin"), f"kd-{secrets.token_hex(3)}"
    namespace = f"desk-{secrets.token_hex(3)}"
    client = cluster.client
    process = ControllerProcess(
        "run",
        log=folder / "run.log",
        broker=broker.url,
        regions={region: eureka_pair.urls},
        kubeconfig=cluster.kubeconfig,
        settings={
            "watch.namespaces": namespace,
            "watch.cluster": region,
            "instance_id_templates": "{ip}:{app}:{port}",
            "remove": "false",
            "guard.last_instance": "false",
        },
    )
    objects = people_and_service(namespace)
    async with AsyncExitStack() as ended:
        await client.create("namespaces", {"metadata": {"name": namespace}}, None)
        ended.push_async_callback(client.delete, "namespaces", namespace, None)
        for one in objects:
            wide = one["kind"].startswith("Cluster")
            await client.create(PLURALS[one["kind"]], one, None if wide else namespace)
            if wide:
                ended.push_async_callback(client.delete, PLURALS[one["kind"]], one["metadata"]["name"], None)
        accounts = Accounts(cluster, namespace)
        desks = {}
        for person in ("operator", "viewer", "nobody"):
            await accounts.create(f"person-{person}")
            if person != "nobody":
                subject = {"kind": "ServiceAccount", "name": f"person-{person}", "namespace": namespace}
                reference = {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Role",
                    "name": f"{namespace}-{person}",
                }
                binding = {"metadata": {"name": person}, "roleRef": reference, "subjects": [subject]}
                await client.create("rolebindings", binding, namespace)
            kubeconfig = await accounts.kubeconfig(f"person-{person}")
            desks[person] = PluginDesk(folder / person, kubeconfig, int(process.url.rpartition(":")[2]))
            desks[person].ops_namespace = namespace
            await desks[person].install()
        ended.push_async_callback(process.stop)
        await process.start()
        yield Scene(cluster, eureka_pair, accounts, namespace, region, broker.url, **desks)
        for left in await client.list("pods", namespace):
            await client.delete("pods", left["metadata"]["name"], namespace, grace_seconds=0)
    text = process.log.read_text()
    assert process.returncode == 0, text[-2_000:]
    assert "Traceback" not in text


async def test_a_pod_is_taken_out_shown_and_put_back(scene: Scene) -> None:
    instance_id = await scene.serving_pod("by-hand")
    pod = f"{scene.namespace}/by-hand"
    out = await scene.operator.run("drain", pod, "--reason", "leaks memory")
    assert "out_of_service" in out.row(pod)
    assert await scene.eureka.statuses(scene.region, instance_id) == ["OUT_OF_SERVICE"] * 2
    [drain] = (await scene.viewer.run("--pod", pod, "-o", "json")).objects
    person = scene.accounts.user("person-operator")
    account = scene.accounts.user(f"{scene.namespace}-operator")
    assert drain["requested_by"] == f"{account}, for {person} (not authenticated)"
    assert drain["requested_why"] == "leaks memory"
    shown = await scene.viewer.run("show", drain["drain_id"])
    assert "leaks memory" in shown.data
    assert instance_id in shown.data
    [timeline] = (await scene.viewer.run("show", drain["drain_id"], "-o", "json")).objects
    assert timeline["timeline"]
    back = await scene.operator.run("restore", pod)
    assert "restored" in back.row(pod)
    assert await scene.eureka.statuses(scene.region, instance_id) == ["UP"] * 2


async def test_a_replay_is_planned_and_carried_out(scene: Scene) -> None:
    instance_id = await scene.serving_pod("dies")
    pod = f"{scene.namespace}/dies"
    await asyncio.sleep(2)  # what a node copies in the pod's last moment is in doubt
    await scene.cluster.client.delete("pods", "dies", scene.namespace)

    async def is_out() -> bool:
        return await scene.eureka.statuses(scene.region, instance_id) == ["OUT_OF_SERVICE"] * 2

    await until(is_out, "the drain")
    for node in scene.eureka.nodes:
        await node.registry.delete_status(scene.region, instance_id, "UP")
    plan = await scene.operator.run("replay", "--pod", pod)
    assert "would drain" in plan.row(pod)
    assert "1 planned: 1 would drain" in plan.data
    assert "nothing was changed" in plan.messages
    assert await scene.eureka.statuses(scene.region, instance_id) == ["UP"] * 2
    done = await scene.operator.run("replay", "--pod", pod, "--yes", "--reason", "INC-1")
    assert "out_of_service" in done.row(pod)
    assert "1 of 1 sent; outcomes: 1 out_of_service" in done.data
    assert await is_out()
    rollouts = await scene.viewer.run("rollouts", "-n", scene.namespace)
    assert "dies" in rollouts.data
    dead = await scene.viewer.run("dead")
    assert (dead.data, dead.messages) == ("", "no dead letters\n")


async def test_what_a_person_may_not_is_said_and_not_done(scene: Scene) -> None:
    instance_id = await scene.serving_pod("stays")
    pod = f"{scene.namespace}/stays"
    refused = await scene.viewer.run("drain", pod, expect=1)
    assert f"a person needs the Role {scene.namespace}-operator in {scene.namespace}" in refused.messages
    token = await scene.accounts.token(f"{scene.namespace}-viewer", "eureka-drain")
    refused = await scene.viewer.run("drain", pod, KUBECTL_DRAINS_TOKEN=token, expect=1)
    assert "lacks the verb create on replays.eureka.drain" in refused.messages
    nothing = await scene.nobody.run(expect=1)
    assert "services is forbidden" in nothing.messages
    assert await scene.eureka.statuses(scene.region, instance_id) == ["UP"] * 2
    for words, text in (
        (("--since", "yesterday"), "since: 'yesterday' is neither a duration"),
        (("--state", "done"), "state: 'done' is none of"),
    ):
        assert text in (await scene.viewer.run(*words, expect=2)).messages
    assert "holds nothing about this drain" in (await scene.viewer.run("show", "nothing", expect=1)).messages
    missing = await scene.operator.run("drain", f"{scene.namespace}/nobody", expect=1)
    assert f"there is no pod {scene.namespace}/nobody" in missing.messages
    held = await scene.operator.run("restore", pod, expect=1)
    assert "is not restored: the event log says of no drain" in held.messages
    elsewhere = await scene.operator.run("--ops-namespace", "default", expect=1)
    assert 'is forbidden: User "' in elsewhere.messages


async def test_dead_letters_are_listed_sent_again_and_dropped(scene: Scene) -> None:
    command = a_command(region=scene.region, cluster=scene.region, drain_id=f"late-{scene.region}")
    failed = Reason(code=ReasonCode.unreachable, detail="no node answered")
    settings = BrokerSettings(url=SecretUrl(scene.broker_url))
    outbox = RabbitOutbox(settings=settings, regions=[scene.region])
    async with beside(outbox.link.run):
        await outbox.link.wait_until_up()
        await outbox.dead_letter(scene.region, command, failed)
        await outbox.dead_letter_raw(
            scene.region, b"odd", failed, type_="odd", message_id="odd-1", content_type="text/plain"
        )
    listed = await scene.viewer.run("dead")
    assert "2 dead letters of 1 drain" in listed.data
    assert "no node answered" in listed.row("drain", command.drain_id)
    assert "foreign" in listed.row("odd-1")
    refused = await scene.viewer.run("dead", "requeue", expect=1)
    assert f"a person needs the Role {scene.namespace}-operator" in refused.messages
    again = await scene.operator.run("dead", "requeue", "--reason", "INC-1", expect=1)
    assert "1 sent again" in again.messages
    assert "left where it is: odd-1" in again.messages
    plan = await scene.operator.run("dead", "drop", "--id", "odd-1")
    assert "nothing was dropped" in plan.messages
    dropped = await scene.operator.run("dead", "drop", "--id", "odd-1", "--yes")
    assert "1 dropped" in dropped.messages

    async def has_none() -> bool:
        return "no dead letters" in (await scene.viewer.run("dead")).messages

    await until(has_none, "no dead letters", timeout=60)

    async def is_answered() -> bool:
        found = (await scene.viewer.run("--id", command.drain_id, "-o", "json")).objects
        return bool(found) and found[0]["state"] == "not_registered" and found[0]["requested_why"] == "INC-1"

    await until(is_answered, "the outcome of what was sent again", timeout=120)
