"""The servers of the fault table, started once, and the tables at the end of the run: of faults, and of takeovers."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.audit import audit
from tests.faults.network import network
from tests.faults.result import Row, table
from tests.faults.scene import Servers
from tests.faults.takeover_stage import NoteTakeovers, Stages, seeded_dice
from tests.faults.takeover_table import EndedTakeover
from tests.faults.takeover_table import table as takeover_table
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.parts import toxiproxy_server
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq

ROWS = pytest.StashKey[list[Row]]()
TAKEOVERS = pytest.StashKey[list[EndedTakeover]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: a case of the fault table; all of them run with FAULTS=all")
    config.stash[ROWS] = []
    config.stash[TAKEOVERS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash[ROWS]:
        lines = table(rows)
        _show(terminalreporter, "faults", lines)
        if file := os.environ.get("FAULTS_TABLE"):
            Path(file).write_text("\n".join(lines) + "\n")
    if takeovers := config.stash[TAKEOVERS]:
        _show(terminalreporter, "takeovers: seconds until UP at every node", takeover_table(takeovers))


def _show(terminalreporter: pytest.TerminalReporter, title: str, lines: Sequence[str]) -> None:
    terminalreporter.section(title)
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Puts a row into the table."""
    return request.config.stash[ROWS].append


@pytest.fixture
def note_takeovers(request: pytest.FixtureRequest) -> NoteTakeovers:
    """Puts takeovers into their table."""
    return request.config.stash[TAKEOVERS].extend


@pytest.fixture
def stages(tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str) -> Stages:
    """Makes stages for takeovers."""
    return Stages(tmp_path, cluster, broker, eureka_pair, namespace, seeded_dice())


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
