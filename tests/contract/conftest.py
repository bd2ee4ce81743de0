"""What several contract tests ask for. With ``region`` a test runs on the fake one, and then on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.accounts import Accounts
from tests.contract.regions import RegionUnderTest, adapter, fake_region, real_region
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.parts import toxiproxy_server
from tests.stack.prerequisites import ReportProgress
from tests.stack.toxiproxy import Toxiproxy


@pytest.fixture(params=["fake", "real"])
def pair(request: pytest.FixtureRequest) -> EurekaNodes | None:
    """The real servers, started by the first case that needs them; None for the fake."""
    return request.getfixturevalue("eureka_pair") if request.param == "real" else None


@pytest_asyncio.fixture(loop_scope="session")
async def region(pair: EurekaNodes | None) -> AsyncIterator[RegionUnderTest]:
    """A region of two nodes. The real pair is shared: names must be fresh, and what is broken must be repaired."""
    if pair is None:
        yield fake_region()
        return
    async with adapter(*pair.urls) as port:
        yield real_region(port, pair)


@pytest_asyncio.fixture(loop_scope="session")
async def toxiproxy(
    tmp_path_factory: pytest.TempPathFactory, report_progress: ReportProgress
) -> AsyncIterator[Toxiproxy]:
    """A server without any proxy yet."""
    made = Toxiproxy(tmp_path_factory.mktemp("toxiproxy"), await toxiproxy_server(report_progress))
    await made.start()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def accounts(cluster: Cluster, namespace: str) -> AsyncIterator[Accounts]:
    """Fresh ones."""
    made = Accounts(cluster, namespace)
    yield made
    await made.close()
