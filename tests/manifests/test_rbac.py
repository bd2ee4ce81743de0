"""The rights of each account: exactly these rules, bound to exactly these accounts."""

from __future__ import annotations

import pytest

from tests.manifests.rendering import OVERLAYS, Object, of_kind, ours, overlay

POD_WATCH = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
NODE_WATCH = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
EVENT_CREATE = {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
POD_LIST = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
TOKEN_REVIEW = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
ACCESS_REVIEW = {
    "apiGroups": ["authorization.k8s.io"],
    "resources": ["subjectaccessreviews"],
    "verbs": ["create"],
}
DRAINS = {"apiGroups": ["eureka.drain"], "resources": ["drains"], "verbs": ["get"]}
REPLAYS = {"apiGroups": ["eureka.drain"], "resources": ["replays"], "verbs": ["create"]}

SEE = {"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get", "list"]}
FORWARD = {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create"]}
POD_READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}

PROCESSES = {
    "eureka-drain-watch": [POD_WATCH, NODE_WATCH, EVENT_CREATE],
    "eureka-drain-ops": [TOKEN_REVIEW, ACCESS_REVIEW, POD_READ],
    "eureka-drain-sweep": [POD_LIST],
}
PEOPLE = {"eureka-drain-viewer": [DRAINS], "eureka-drain-operator": [DRAINS, REPLAYS]}
CLUSTER_WIDE = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def token_of(*accounts: str) -> Object:
    """The right to a token of these accounts."""
    resources = ["serviceaccounts/token"]
    return {"apiGroups": [""], "resources": resources, "resourceNames": [*accounts], "verbs": ["create"]}


def rules(objects: tuple[Object, ...], kind: str) -> dict[str, list[Object]]:
    return {name: role["rules"] for name, role in of_kind(objects, kind).items()}


def bound(objects: tuple[Object, ...], kind: str) -> set[tuple[str, str, str, str]]:
    """Role, and the kind, namespace and name of who has it."""
    return {
        (one["roleRef"]["name"], subject["kind"], subject["namespace"], subject["name"])
        for one in of_kind(objects, kind).values()
        for subject in one["subjects"]
    }


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name != "namespaced"])
def test_a_cluster_grants_its_processes_and_people_exactly_this(name: str) -> None:
    objects = overlay(name)
    assert rules(objects, "ClusterRole") == PROCESSES | PEOPLE
    assert bound(objects, "ClusterRoleBinding") == {
        (account, "ServiceAccount", "eureka-drain", account) for account in PROCESSES | PEOPLE
    }
    assert rules(objects, "Role") == {
        "eureka-drain-viewer": [SEE, FORWARD, token_of("eureka-drain-viewer")],
        "eureka-drain-operator": [SEE, FORWARD, token_of("eureka-drain-viewer", "eureka-drain-operator")],
    }
    assert not of_kind(objects, "RoleBinding"), "who may is for the cluster's owner to say"


def test_the_namespaced_overlay_has_rights_in_the_watched_namespace_alone() -> None:
    objects = overlay("namespaced")
    assert not {one["kind"] for one in objects} & CLUSTER_WIDE
    wanted = {"eureka-drain-watch": [POD_WATCH, EVENT_CREATE], "eureka-drain-sweep": [POD_LIST]}
    assert rules(objects, "Role") == wanted
    assert bound(objects, "RoleBinding") == {(name, "ServiceAccount", "eureka-drain", name) for name in wanted}
    assert {one["metadata"]["namespace"] for one in of_kind(objects, "Role", "RoleBinding").values()} == {"shop"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_token_is_mounted_where_it_is_needed_and_nowhere_else(name: str) -> None:
    objects = overlay(name)
    accounts = of_kind(objects, "ServiceAccount")
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    assert {one.pod["serviceAccountName"] for one in ours(objects)} == set(accounts) - set(PEOPLE)
    asking = {one.role for one in ours(objects) if one.pod["automountServiceAccountToken"] is not False}
    assert asking == ({"watch", "sweep"} if name == "namespaced" else {"watch", "ops", "sweep"})
