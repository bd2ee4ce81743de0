"""The servers of the table, started once, and the table itself at the end of the run."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.audit import audit
from tests.faults.network import network
from tests.faults.result import Row, table
from tests.faults.scene import Servers
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.parts import toxiproxy_server
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq

ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: a case of the fault table; all of them run with FAULTS=all")
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    lines = table(rows)
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line)
    if file := os.environ.get("FAULTS_TABLE"):
        Path(file).write_text("\n".join(lines) + "\n")


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Puts a row into the table."""
    return request.config.stash[ROWS].append


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(
    tmp_path_factory: pytest.TempPathFactory,
    report_progress: ReportProgress,
    cluster: Cluster,
    broker: RabbitMq,
    eureka_pair: EurekaNodes,
) -> AsyncIterator[Servers]:
    """The stack with proxies before it."""
    binaries = await toxiproxy_server(report_progress)
    folder = tmp_path_factory.mktemp("network")
    async with (
        network(folder, binaries, cluster, broker, eureka_pair) as between,
        audit(broker.url) as log,
    ):
        yield Servers(cluster, broker, eureka_pair, between, log)
