"""What ``doctor --pods --patch=kustomize`` prints, in an overlay that kustomize renders."""

from __future__ import annotations

from pathlib import Path

import yaml

from controller.domain.shutdown.patch_form import PatchForm
from controller.domain.shutdown.pod_details import Sleep
from controller.ops.shutdown_patches import patches_text
from tests.manifests.policed_pods import a_container, a_spec
from tests.manifests.rendering import render, write_overlay
from tests.manifests.test_workload_clients import a_workload
from tests.unit.windows import looked, pod_details, shell


def test_an_overlay_with_the_patches_renders_pods_that_serve_long_enough(tmp_path: Path) -> None:
    exec_hook = {"exec": {"command": ["/bin/sh", "-c", "sleep 30"]}}
    main = a_container(lifecycle={"preStop": exec_hook, "postStart": exec_hook})
    (tmp_path / "orders.yaml").write_text(yaml.safe_dump(a_workload(a_spec(main, a_container("agent")))))
    survey = looked(pod_details(shell("sleep 30"), grace=60))
    patches = yaml.safe_load(patches_text(survey, PatchForm.kustomize))["patches"]
    [rendered] = render(write_overlay(tmp_path, resources=["orders.yaml"], namespace="shop", patches=patches))
    pod = rendered["spec"]["template"]["spec"]
    patched, agent = pod["containers"]
    assert patched == main | {"lifecycle": {"preStop": {"sleep": {"seconds": 95}}, "postStart": exec_hook}}
    assert agent == a_container("agent")
    hook, grace = Sleep(95), pod["terminationGracePeriodSeconds"]
    assert patches_text(looked(pod_details(hook, grace=grace))) == ""
