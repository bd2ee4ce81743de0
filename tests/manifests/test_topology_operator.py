"""The component for RabbitMQ's messaging topology operator: users with just their rights, passwords from Secrets."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.contract.test_permissions import RIGHTS
from tests.manifests.rendering import CREDENTIALS, MANIFESTS, Object, of_kind, ours, render, settings_of, write_overlay

COMPONENT = "rabbitmq-topology-operator"
USERS_ON_THE_PAGE = {"work": "work-eu", "sweep": "sweep-report"}


def rendered(folder: Path, **fields: object) -> tuple[Object, ...]:
    return render(write_overlay(folder, MANIFESTS / "overlays" / "one-cluster", components=(COMPONENT,), **fields))


def shown(first: str) -> Object:
    """What the component's comment shows from a line on, until its text goes on."""
    comment = (MANIFESTS / "components" / COMPONENT / "kustomization.yaml").read_text()
    lines = comment[comment.index(f"#   {first}") :].splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#   "))
    found: Object = yaml.safe_load("\n".join(line.removeprefix("#   ") for line in lines[:end]))
    return found


def test_each_roles_user_has_the_rights_that_the_page_has(tmp_path: Path) -> None:
    objects = rendered(tmp_path)
    users = of_kind(objects, "User")
    permissions = of_kind(objects, "Permission").values()
    found = {one["spec"]["userReference"]["name"]: one["spec"]["permissions"] for one in permissions}
    assert found.keys() == users.keys() == {workload.object["metadata"]["name"] for workload in ours(objects)}
    for name, patterns in found.items():
        role = name.removeprefix("eureka-drain-")
        rights = RIGHTS[USERS_ON_THE_PAGE.get(role, role)]
        assert (patterns["configure"], patterns["write"], patterns["read"]) == (
            rights.configure,
            rights.write,
            rights.read,
        )
    [vhost] = of_kind(objects, "Vhost").values()
    assert {one["spec"]["vhost"] for one in permissions} == {vhost["spec"]["name"]} == {"drain"}


def test_each_role_connects_as_the_user_that_the_operator_made(tmp_path: Path) -> None:
    settings = {
        **yaml.safe_load((MANIFESTS / "overlays" / "one-cluster" / "controller.yaml").read_text()),
        **shown("broker:"),
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "controller.yaml").write_text(yaml.safe_dump(settings))
    generated = {"name": "eureka-drain-settings", "behavior": "merge", "files": ["controller.yaml"]}
    objects = rendered(tmp_path / "mine", configMapGenerator=[generated], namespace="eureka-drain")
    for workload in ours(objects):
        found = settings_of(workload, objects, tmp_path / workload.name)
        [url] = [one.get_secret_value() for one in found.broker.urls]
        login = f"{CREDENTIALS['username']}:{CREDENTIALS['password']}"
        assert url == f"amqp://{login}@rabbitmq.infra:5672/drain"


def test_a_role_waits_for_its_own_users_secret_and_for_no_other(tmp_path: Path) -> None:
    for workload in ours(rendered(tmp_path)):
        [volume] = [one for one in workload.pod["volumes"] if "projected" in one]
        assert volume["projected"]["defaultMode"] == 0o440
        sources = [one["secret"] for one in volume["projected"]["sources"]]
        needed = [one["name"] for one in sources if not one.get("optional")]
        assert needed == [f"{workload.name}-user-credentials"]
        assert [one["name"] for one in sources if one.get("optional")] == [workload.name]


def test_another_regions_work_keeps_its_own_secret(tmp_path: Path) -> None:
    multi = MANIFESTS / "overlays" / "multi-region"
    objects = render(write_overlay(tmp_path, multi, components=(COMPONENT,)))
    made = {
        workload.name: [volume for volume in workload.pod["volumes"] if "projected" in volume]
        for workload in ours(objects)
        if workload.role == "work"
    }
    assert {name: bool(volumes) for name, volumes in made.items()} == {
        "eureka-drain-work-eu": True,
        "eureka-drain-work-us": False,
    }


def test_the_virtual_host_outlives_the_component(tmp_path: Path) -> None:
    [vhost] = of_kind(rendered(tmp_path), "Vhost").values()
    assert vhost["spec"]["deletionPolicy"] == "retain"


def test_another_cluster_is_named_by_the_patch_that_the_component_shows(tmp_path: Path) -> None:
    objects = rendered(tmp_path, **shown("patches:"))
    references = [one["spec"]["rabbitmqClusterReference"] for one in of_kind(objects, "User").values()]
    assert all(one == {"name": "shared", "namespace": "messaging"} for one in references)
    assert len(references) == 5
