"""Doctor's checks of a real API server with RBAC: each right by its verb."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.domain.diagnostics import Check, Severity
from controller.kube.kube_checks import inspect
from controller.kube.rights import Need, Rights, may, needs_of_ops, needs_of_watch, wishes_of_watch
from controller.signals import beside
from tests.contract.accounts import Accounts
from tests.contract.following import connected
from tests.contract.regions import clock
from tests.stack.cluster import Cluster
from tests.stack.waiting import until

WATCH = needs_of_watch([""], kubernetes_events=True)
RULES = [("list", "", "pods"), ("watch", "", "pods"), ("get", "", "pods"), ("create", "", "events")]


async def look(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch, *rules: tuple[str, str, str], ops: bool = False
) -> list[Check]:
    await accounts.create("looking", *rules)
    async with connected(await accounts.kubeconfig("looking"), monkeypatch) as api:
        return await inspect(api, needs=WATCH, useful=needs_of_ops() if ops else (), scopes=[""], clock=clock)


def wrong(checks: list[Check]) -> list[str]:
    return [check.what for check in checks if check.severity is Severity.wrong]


async def test_an_account_with_every_right_is_in_order(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = await look(accounts, monkeypatch, *RULES, ops=True)
    assert wrong(checks) == []
    [event] = [check for check in checks if check.what == "first event"]
    assert event.severity is Severity.ok
    advised = [check.what for check in checks if check.severity is Severity.advice]
    assert advised == [f"may {need}" for need in needs_of_ops()], "another role's rights are no mistake"


@pytest.mark.parametrize("missing", range(4), ids=[" ".join((verb, what)) for verb, _, what in RULES])
async def test_each_missing_verb_is_named(accounts: Accounts, monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    checks = await look(accounts, monkeypatch, *[rule for number, rule in enumerate(RULES) if number != missing])
    verb, _, what = RULES[missing]
    assert wrong(checks) == [f"may {verb} {what}"]
    [check] = [check for check in checks if check.severity is Severity.wrong]
    assert f"--verb={verb}" in check.fix
    [event] = [check for check in checks if check.what == "first event"]
    assert event.severity is (Severity.skipped if verb in ("list", "watch") else Severity.ok)


async def test_a_right_that_the_watch_can_do_without_is_advice(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = wishes_of_watch(nodes=True)
    await accounts.create("looking", *RULES, ("list", "", "nodes"))
    async with connected(await accounts.kubeconfig("looking"), monkeypatch) as api:
        checks = await inspect(api, needs=WATCH, wishes=wishes, scopes=[""], clock=clock)
    assert wrong(checks) == []
    [advice] = [check for check in checks if check.severity is Severity.advice]
    assert advice.what == "may watch nodes"
    assert "watch.nodes: false" in advice.fix
    assert wishes_of_watch(nodes=False) == []


async def test_rights_in_one_namespace_are_distinguished_from_rights_in_all(
    accounts: Accounts, namespace: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.create("narrow")
    role = {"metadata": {"name": "narrow"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    await cluster.client.create("roles", role, namespace)
    binding = {
        "metadata": {"name": "narrow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "narrow"},
        "subjects": [{"kind": "ServiceAccount", "name": "narrow", "namespace": namespace}],
    }
    await cluster.client.create("rolebindings", binding, namespace)
    async with connected(await accounts.kubeconfig("narrow"), monkeypatch) as api:
        assert await may(api, Need(verb="list", resource="pods", namespace=namespace))
        assert not await may(api, Need(verb="watch", resource="pods", namespace=namespace))
        assert not await may(api, Need(verb="list", resource="pods"))


async def test_a_right_that_is_taken_away_is_missed(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    await accounts.create("losing", *RULES)
    monkeypatch.setattr("controller.kube.rights.CHECK_INTERVAL", timedelta(milliseconds=100))
    async with connected(await accounts.kubeconfig("losing"), monkeypatch) as api:
        rights = Rights(api, WATCH)
        async with beside(rights.run):
            await until(lambda: all(rights.has(need) for need in WATCH), "every right")
            await accounts.close()
            await until(lambda: not any(rights.has(need) for need in WATCH), "no right left")


@pytest.mark.parametrize(
    ("scope", "label_selector", "severity", "fix"),
    [
        ("", "a in (b", Severity.wrong, "correct watch.label_selector"),
        ("", "team=nobodys", Severity.advice, "correct watch.namespaces or watch.label_selector"),
        ("nobodys", "", Severity.advice, "correct watch.namespaces or watch.label_selector"),
    ],
)
async def test_what_selects_no_pod_is_named(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, scope: str, label_selector: str, severity: Severity, fix: str
) -> None:
    async with connected(cluster.kubeconfig, monkeypatch) as api:
        checks = await inspect(api, needs=WATCH, scopes=[scope], label_selector=label_selector, clock=clock)
    [event] = [check for check in checks if check.what.startswith("first event")]
    assert event.severity is severity
    assert fix in event.fix
