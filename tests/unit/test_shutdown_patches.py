"""What fixes workloads whose pods are gone too early, as each of its takers reads it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
import yaml

from controller.domain.shutdown.patch_form import PatchForm
from controller.domain.shutdown.pod_details import Container
from controller.ops.shutdown_patches import patches_text
from tests.unit.test_tables import HOSTILE
from tests.unit.test_window_tables import CURL, ENOUGH, JOB
from tests.unit.windows import looked, owned, pod_details, shell

SHORT = pod_details(shell("sleep 30"), grace=60)
STOCK = replace(
    owned(pod_details(facts={"namespace": "back"}), "StatefulSet", "stock"),
    containers=(Container(name="on"),),
)
"""Its container has a name that YAML would take for something else."""
FORMS = list(PatchForm)


def test_a_patch_is_one_line_for_a_shell_below_a_comment() -> None:
    comment, line = patches_text(looked(SHORT)).splitlines()
    assert comment == "# shop/deployment/orders: too short by 65 s"
    words = shlex.split(line)
    head = ["kubectl", "patch", "deployment", "orders", "-n", "shop", "--type", "strategic", "-p"]
    assert words[:-1] == head
    assert json.loads(words[-1]) == {
        "spec": {
            "template": {
                "spec": {
                    "terminationGracePeriodSeconds": 125,
                    "containers": [
                        {"name": "main", "lifecycle": {"preStop": {"sleep": {"seconds": 95}, "exec": None}}}
                    ],
                }
            }
        }
    }
    assert line.endswith("""-p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":125,"containers":[{"name":\
"main","lifecycle":{"preStop":{"sleep":{"seconds":95},"exec":null}}}]}}}}'""")


def test_what_has_to_be_edited_by_hand_is_a_comment_with_the_numbers() -> None:
    (line,) = patches_text(looked(CURL)).splitlines()
    assert line == (
        "# shop/daemonset/edge: too short by 65 s; the exec hook of main does more than wait; edit it by hand: its "
        "hook has to wait 95 s, and terminationGracePeriodSeconds has to be 125"
    )


@pytest.mark.parametrize("form", FORMS)
def test_what_has_to_be_edited_by_hand_is_a_comment_in_every_form(form: PatchForm) -> None:
    lines = patches_text(looked(CURL), form).splitlines()
    assert all(line.startswith(("#", "  #")) for line in lines)
    assert "its hook has to wait 95 s" in lines[-1]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_long_enough_or_skipped_needs_nothing_in_any_form(form: PatchForm) -> None:
    assert patches_text(looked(ENOUGH, JOB), form) == ""


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_somebody_wrote_leaves_its_place(form: PatchForm) -> None:
    pod = pod_details(shell(f"/stop{HOSTILE}"), facts={"namespace": HOSTILE, "name": HOSTILE, "owner": None})
    text = patches_text(looked(pod, pod_details(facts={"annotations": {"app": HOSTILE}})), form)
    assert all(line.isprintable() for line in text.split("\n"))
    keys = {
        PatchForm.kustomize: [{"patches"}],
        PatchForm.helm: [{"terminationGracePeriodSeconds", "lifecycle"}],
    }
    if form in keys:
        assert [set(one or ()) for one in yaml.safe_load_all(text)] == keys[form]


def test_a_chart_gets_the_values_of_each_container_that_serves() -> None:
    both = replace(STOCK, containers=tuple(Container(name=name, ports=(80,)) for name in ("on", "off")))
    assert (
        list(yaml.safe_load_all(patches_text(looked(both), PatchForm.helm)))
        == [{"terminationGracePeriodSeconds": 125, "lifecycle": {"preStop": {"sleep": {"seconds": 95}}}}] * 2
    )


def test_an_overlay_gets_a_list_for_each_namespace_and_names_stay_texts() -> None:
    back, shop = yaml.safe_load_all(patches_text(looked(SHORT, STOCK), PatchForm.kustomize))
    [stock], [orders] = ([yaml.safe_load(one["patch"]) for one in each["patches"]] for each in (back, shop))
    assert (stock["kind"], orders["metadata"]) == ("StatefulSet", {"name": "orders"})
    assert [one["name"] for one in stock["spec"]["template"]["spec"]["containers"]] == ["on"]
