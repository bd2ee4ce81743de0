"""What the service accounts and people may do, by the API server's review: exactly what the manifests grant."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.manifests.applying import answer, may
from tests.manifests.conftest import Apply
from tests.manifests.test_rbac import (
    ACCESS_REVIEW,
    EVENT_CREATE,
    NODE_WATCH,
    PEOPLE,
    POD_LIST,
    POD_READ,
    POD_WATCH,
    TOKEN_REVIEW,
)
from tests.stack.cluster import Cluster
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def rules_of(cluster: Cluster, account: str, namespace: str, where: str) -> set[str]:
    """What an account may do in a namespace, asked with its own token."""
    file = await cluster.api.service_account_kubeconfig(account, namespace)
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": where},
    }
    status = (await answer(file, review))["status"]
    assert status["incomplete"] is False
    return {_plain(rule) for rule in [*status["resourceRules"], *status["nonResourceRules"]]}


async def own_rules(cluster: Cluster, account: str, namespace: str, where: str) -> set[str]:
    """Without what every account may."""
    everybodys = await rules_of(cluster, "default", namespace, where)
    assert everybodys
    return await rules_of(cluster, account, namespace, where) - everybodys


def _plain(rule: dict[str, Any]) -> str:
    return str({key: sorted(value) for key, value in sorted(rule.items())})


async def test_accounts_may_do_exactly_this_in_every_namespace(cluster: Cluster, apply: Apply) -> None:
    namespace = await apply("multi-region")
    wanted: dict[str, list[dict[str, Any]]] = {
        "eureka-drain-watch": [POD_WATCH, NODE_WATCH, EVENT_CREATE],
        "eureka-drain-work-eu": [],
        "eureka-drain-work-us": [],
        "eureka-drain-ops": [TOKEN_REVIEW, ACCESS_REVIEW, POD_READ],
        "eureka-drain-sweep": [POD_LIST],
        "eureka-drain-topology": [],
    }
    listed = await cluster.client.list("serviceaccounts", namespace)
    assert {one["metadata"]["name"] for one in listed} == {*wanted, *PEOPLE, "default"}
    for account, rules in wanted.items():
        for where in ("kube-system", namespace):
            assert await own_rules(cluster, account, namespace, where) == {_plain(rule) for rule in rules}


async def test_with_roles_alone_they_may_do_nothing_beside_the_watched_namespace(
    cluster: Cluster, apply: Apply
) -> None:
    namespace = await apply("namespaced")
    wanted: dict[str, list[dict[str, Any]]] = {
        "eureka-drain-watch": [POD_WATCH, EVENT_CREATE],
        "eureka-drain-work": [],
        "eureka-drain-ops": [],
        "eureka-drain-sweep": [POD_LIST],
    }
    for account, rules in wanted.items():
        assert await own_rules(cluster, account, namespace, "shop") == {_plain(rule) for rule in rules}
        assert await own_rules(cluster, account, namespace, namespace) == set()


@pytest.mark.parametrize(("role", "may_write"), [("viewer", False), ("operator", True)])
async def test_people_may_read_and_some_may_write(cluster: Cluster, apply: Apply, role: str, may_write: bool) -> None:
    await apply("one-cluster")
    binding = f"tests-{role}"
    await cluster.kubectl(
        "create", "clusterrolebinding", binding, f"--clusterrole=eureka-drain-{role}", f"--group={binding}"
    )
    try:
        asks = partial(may, cluster, group="eureka.drain", groups=[binding])
        await until(partial(asks, "get", "drains"), "the binding in force")
        allowed = {
            (verb, resource)
            for verb in ("get", "list", "create", "update", "delete")
            for resource in ("drains", "replays")
            if await asks(verb, resource)
        }
    finally:
        await cluster.client.delete("clusterrolebindings", binding, None)
    assert allowed == {("get", "drains")} | ({("create", "replays")} if may_write else set())
