"""pytest fixtures over the real servers: `pytest_plugins = ["tests.stack.fixtures"]` in the root conftest.

Each server is started by the first test that asks for it and serves the whole session. Tests that use them run in the
session's event loop: `pytestmark = pytest.mark.asyncio(loop_scope="session")`.

Trap: servers are shared, so a test takes names of its own (`namespace`, a fresh app) and repairs what it breaks.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.stack.authority import Authority
from tests.stack.cluster import Cluster, fresh_namespace
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq, ServerCertificates, empty_vhost
from tests.stack.stack import Stack, report_on_stderr


@pytest.fixture(scope="session")
def report_progress(request: pytest.FixtureRequest) -> ReportProgress:
    """Progress that is shown although pytest captures output: a build takes minutes."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    say = report_on_stderr()

    def report_progress(line: str) -> None:
        if not line.startswith(("building", "installing")):
            return
        with capture.global_and_fixture_disabled():
            say(line)

    return report_progress


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def eureka_pair(report_progress: ReportProgress) -> AsyncIterator[EurekaNodes]:
    """Two Eureka nodes that are each other's peer."""
    async with Stack(regions={"eu": 2}, report_progress=report_progress) as stack:
        yield stack.eureka["eu"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(report_progress: ReportProgress, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitMq]:
    """RabbitMQ; it listens for TLS too, with a certificate that only tests of that exchange and use."""
    folder = tmp_path_factory.mktemp("broker")
    authority = Authority()
    certificate, key = authority.write(folder, "localhost")
    certificates = ServerCertificates(authority.write_ca(folder / "ca.pem"), certificate, key)
    wanted: dict[str, Any] = {"broker": True, "management": True, "broker_certificates": certificates}
    async with Stack(**wanted, report_progress=report_progress) as stack:
        yield stack.broker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(report_progress: ReportProgress) -> AsyncIterator[Cluster]:
    """A control plane with a node that runs pods."""
    async with Stack(cluster=True, report_progress=report_progress) as stack:
        yield stack.cluster


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    """A fresh namespace; what is left in it is removed by force."""
    async with fresh_namespace(cluster) as name:
        yield name


@pytest_asyncio.fixture(loop_scope="session")
async def empty_broker(broker: RabbitMq) -> AsyncIterator[RabbitMq]:
    """The shared broker's virtual host ``empty``, in which nobody has declared anything yet."""
    async with empty_vhost(broker, "empty") as ours:
        yield ours
