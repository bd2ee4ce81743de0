"""Following docs/install.md line by line ends with a drained pod; and each right is missed when it is taken away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.install.conftest import NAMESPACE, Installed
from tests.install.page import sections
from tests.stack.waiting import until

OPS = "-n eureka-drain deployment/eureka-drain-ops"
ROLES = "clusterroles"


def doctor(role: str) -> str:
    return f"kubectl -n eureka-drain exec deployment/eureka-drain-{role} -- eureka-drain doctor --role {role}"


async def test_every_command_of_the_page_is_run_by_a_test() -> None:
    titles = [title for title, blocks in sections().items() if blocks]
    assert [title.split()[0] for title in titles] == ["1.", "2.", "3.", "4.", "5.", "Taking"]


async def test_who_follows_the_page_ends_with_a_drained_pod(installed: Installed, orders: str) -> None:
    output = await installed.follow("4.")
    assert "wrong" not in "".join(output)
    before = await installed.pods()
    await installed.follow("5.")
    await installed.drained(before, OPS)
    events = await installed.cluster.client.list("events", "shop")
    recorded = {one["involvedObject"]["name"] for one in events if one["reason"] == "Drained"}
    assert any(pod.startswith(name) for pod in before for name in recorded), "at the pod, or at what it belonged to"
    # The new ones serve.
    for name in await installed.pods() - before:
        pod = await installed.cluster.client.get("pods", name, "shop")
        assert pod is not None
        instance_id = f"{pod['status']['podIP']}:{orders}:8080"
        assert await installed.eureka.statuses(orders, instance_id) == ["UP", "UP"], instance_id


NEEDS = [
    ("watch", "get", "pods"),
    ("watch", "list", "pods"),
    ("watch", "watch", "pods"),
    ("watch", "create", "events"),
    ("ops", "create", "tokenreviews.authentication.k8s.io"),
    ("ops", "create", "subjectaccessreviews.authorization.k8s.io"),
]


def without(rules: list[dict[str, Any]], verb: str, resource: str) -> list[dict[str, Any]]:
    """The rules, less one verb on one resource."""
    kept = []
    for rule in rules:
        if resource.partition(".")[0] in rule["resources"]:
            rule = {**rule, "verbs": [one for one in rule["verbs"] if one != verb]}
        if rule["verbs"]:
            kept.append(rule)
    return kept


@pytest.mark.parametrize(("role", "verb", "resource"), NEEDS, ids=[" ".join(need) for need in NEEDS])
async def test_a_verb_that_is_taken_away_is_named_by_doctor_and_readiness(
    installed: Installed, role: str, verb: str, resource: str
) -> None:
    name = f"eureka-drain-{role}"
    granted = await installed.cluster.client.get(ROLES, name, None)
    assert granted is not None
    missing = f"[-] may {verb} {resource}"
    await installed.cluster.client.patch(
        ROLES, name, {"rules": without(granted["rules"], verb, resource)}, None, kind="merge"
    )
    try:

        async def noticed() -> bool:
            status, text = await installed.readiness(role)
            return status == 503 and missing in text

        await until(noticed, f"{missing} in /readyz of {role}", timeout=60, interval=0.5)
        output = await installed.desk.run(doctor(role), expect=1)
    finally:
        await installed.cluster.client.patch(ROLES, name, {"rules": granted["rules"]}, None, kind="merge")
    [wrong] = [line for line in output.splitlines() if line.startswith("wrong") and "may " in line]
    assert f"may {verb} {resource}" in wrong
    assert f"--verb={verb}" in output


async def test_every_role_is_ready_again_once_its_rights_are_back(installed: Installed) -> None:
    for role in ("watch", "work", "ops"):

        async def ready(role: str = role) -> bool:
            return (await installed.readiness(role))[0] == 200

        await until(ready, f"{role} ready", timeout=60, interval=0.5)


async def test_a_sweep_in_its_own_name_comes_to_its_end(installed: Installed) -> None:
    await installed.desk.run("kubectl -n eureka-drain create job --from=cronjob/eureka-drain-sweep once")

    async def over() -> bool:
        job = await installed.cluster.client.get("jobs", "once", NAMESPACE)
        assert job is not None
        assert not job["status"].get("failed"), await logs(installed)
        return bool(job["status"].get("succeeded"))

    await until(over, "a sweep's pass", timeout=180, interval=1)


async def logs(installed: Installed) -> str:
    folder = installed.cluster.node.folder
    return "".join(file.read_text() for file in folder.glob(f"{NAMESPACE}_once-*/*.log"))
