"""`make try`, as whoever has a cluster of his own runs it; only the image is there already."""

from __future__ import annotations

import pytest

from tests.cluster.home import PRODUCT
from tests.cluster.overlays.installing import load_local_image
from tests.cluster.scene import Scene
from tests.install.desk import Desk

pytestmark = pytest.mark.timeout(1_200)
TRIAL = "eureka-drain-trial"
PATIENCE = 900.0
"""Seconds, on two processors that have the whole cluster to run."""


async def test_the_trial_ends_with_graceful_drains_and_is_taken_away(scene: Scene, desk: Desk) -> None:
    await load_local_image(scene)
    context = (await scene.kubectl("config", "current-context")).strip()
    try:
        said = await desk.run(f"CONTEXT={context} manifests/trial/try.sh", patience=PATIENCE)
        print(said)
        assert "Done: no caller was left with a pod that had gone" in said
        assert said.count(" out_of_service ") + said.count(" removed ") >= 3
    finally:
        await desk.run(f"REMOVE=1 CONTEXT={context} manifests/trial/try.sh", patience=PATIENCE)
    left = await scene.kubectl("get", "namespaces", "-o", "name")
    assert not {f"namespace/{PRODUCT}", f"namespace/{TRIAL}"} & set(left.split())
