"""Every way to register, ended in every way, with a living process beside it that looks much like the one that ends.

By default pods are deleted, with grace and by force; with FAULTS=all they end in every way. MATRIX_WAYS, parts of
titles with commas between: some ways only.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.event_log import EventLog
from tests.e2e.matrix_case import Case
from tests.e2e.matrix_endings import Ending, end
from tests.e2e.matrix_page import Cell
from tests.e2e.matrix_ways import WAYS
from tests.e2e.product import product
from tests.faults.street import Street, street
from tests.stack.cluster import Cluster, fresh_namespace
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.node import Node
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import NeverHappenedError, until

ALWAYS = (Ending.delete, Ending.force)
ENDINGS = tuple(Ending) if os.environ.get("FAULTS") == "all" else ALWAYS
CHOSEN = [way for way in WAYS if any(part in way.title for part in os.environ.get("MATRIX_WAYS", "").split(","))]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_each_registration_goes_with_its_pod_and_no_other(
    tmp_path: Path,
    cluster: Cluster,
    broker: RabbitMq,
    eureka_pair: EurekaNodes,
    namespace: str,
    note_cells: Callable[[list[Cell]], None],
    ending: Ending,
) -> None:
    async with (
        product(tmp_path, cluster, broker, eureka_pair, namespace) as running,
        street(cluster, eureka_pair, namespace) as place,
        _dying_node(cluster, tmp_path / "pods", f"node-{place.mark}") as node,
        fresh_namespace(cluster) as other,
    ):
        cases = [Case(way, ending, place, node, WAYS.index(way) + 1, other) for way in CHOSEN]
        try:
            await asyncio.gather(*(case.prepare() for case in cases))
            await _known_to_callers(place, cases)
            if ending is Ending.node_lost:
                node.disconnect()
            for case in cases:
                case.start_sampling()
            await asyncio.sleep(2)  # and each was UP before
            if ending is Ending.node_shutdown:
                await node.shut_down()
            await asyncio.gather(*(_play(case, running.log, cluster, node) for case in cases))
        finally:
            await asyncio.gather(*(case.stop() for case in cases))
        cells: list[Cell] = []
        wrong: list[str] = []
        for case in cases:
            complaints = tuple(case.complaints(running.log))
            cells.append(Cell(case.way.title, ending, case.verdict(running.log), complaints))
            if complaints:
                wrong.append("\n  ".join((case.record(running.log), *(f"WRONG: {one}" for one in complaints))))
        note_cells(cells)
        (tmp_path / "records.txt").write_text("\n".join(case.record(running.log) for case in cases))
    assert wrong == [], "\n\n".join(wrong)


async def _play(case: Case, log: EventLog, cluster: Cluster, node: Node) -> None:
    case.begun_at = time.monotonic()
    try:
        await end(case, case.ending, cluster, node)
    except NeverHappenedError as error:
        case.trouble = str(error)
        return
    case.ended_at = time.monotonic()
    await case.settle(log)


async def _known_to_callers(place: Street, cases: list[Case]) -> None:
    """Wait until the nodes serve them all to callers, who see the registry through a cache: until then nobody looks."""
    wanted = {one.registration.instance_id for case in cases for one in (case.client, case.bystander)}

    async def look() -> bool:
        answers = [await node.apps() for node in place.nodes]
        return all(wanted <= {one["instanceId"] for app in apps.values() for one in app} for apps in answers)

    await until(look, "all of them in both nodes' response caches", timeout=60, interval=1)


@asynccontextmanager
async def _dying_node(cluster: Cluster, folder: Path, name: str) -> AsyncIterator[Node]:
    """A node for what ends, so that it may be lost or shut down."""
    node = Node(cluster.client, folder, name=name, schedules=False)
    await node.start()
    try:
        yield node
    finally:
        node.reconnect()
        await node.stop()
        await cluster.client.delete("nodes", name, None)
