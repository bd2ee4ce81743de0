"""A desk for the overlays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster.brokers import own_vhost
from tests.cluster.home import IS_INSTALLED
from tests.cluster.keys import ADMIN_KUBECONFIG
from tests.cluster.overlays.installing import VHOST
from tests.cluster.scene import Scene
from tests.install.desk import Desk


@pytest_asyncio.fixture(loop_scope="session")
async def desk(scene: Scene, tmp_path: Path) -> AsyncIterator[Desk]:
    """Where the manifests are, and an empty virtual host at the broker."""
    if await asyncio.to_thread(IS_INSTALLED.exists):
        pytest.skip("this cluster was kept and has an installation: two would drain the same pods")
    async with own_vhost(scene, VHOST):
        yield Desk(tmp_path, kubeconfig=ADMIN_KUBECONFIG, rabbitmqctl="false")
