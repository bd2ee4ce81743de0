"""Cases from real clusters, played beside each other on the real servers, since each of them mostly waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from tests.e2e.case_absences import ABSENCES
from tests.e2e.case_look_alikes import LOOK_ALIKES
from tests.e2e.case_restarts import (
    restart_scene,
    what_only_the_log_remembers_goes_out_when_it_registers_again,
    what_restarted_nodes_copy_of_the_dead_stays_out_and_goes,
)
from tests.e2e.case_scene import Case, case_scene
from tests.stack.cluster import Cluster, fresh_namespace
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.parts import toxiproxy_server
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq

Play = Callable[[Case], Awaitable[None]]
Played = dict[str, BaseException | None]
BESIDE_EACH_OTHER: tuple[Play, ...] = (*LOOK_ALIKES, *ABSENCES)
IN_TURN = (
    what_restarted_nodes_copy_of_the_dead_stays_out_and_goes,
    what_only_the_log_remembers_goes_out_when_it_registers_again,
)
CASE_TIMEOUT = 180.0
NAMES = [play.__name__ for play in (*BESIDE_EACH_OTHER, *IN_TURN)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def played(
    tmp_path_factory: pytest.TempPathFactory,
    report_progress: ReportProgress,
    cluster: Cluster,
    broker: RabbitMq,
    eureka_pair: EurekaNodes,
) -> Played:
    """What came of each case, by its name."""
    binaries = await toxiproxy_server(report_progress)
    folder = tmp_path_factory.mktemp("cases")
    (folder / "restarts").mkdir()
    ended: Played = {}

    async def end(name: str, work: Awaitable[None]) -> None:
        begun_at = time.monotonic()
        try:
            async with asyncio.timeout(CASE_TIMEOUT):
                await work
        except Exception as error:
            ended[name] = error
        else:
            ended[name] = None
        print(f"{time.monotonic() - begun_at:.0f} s: {name}, {ended[name]!r}"[:300], flush=True)

    async def beside_each_other() -> None:
        async with (
            fresh_namespace(cluster) as namespace,
            case_scene(folder, binaries, cluster, broker, eureka_pair, namespace) as case,
        ):
            await asyncio.gather(*(end(play.__name__, play(case)) for play in BESIDE_EACH_OTHER))

    async def in_turn() -> None:
        async with restart_scene(folder / "restarts", cluster, broker) as case:
            for play in IN_TURN:
                await end(play.__name__, play(case))

    await asyncio.gather(beside_each_other(), in_turn())
    return ended


@pytest.mark.parametrize("name", NAMES)
async def test_a_case_from_a_real_cluster_ends_as_it_should(played: Played, name: str) -> None:
    if error := played[name]:
        raise error
