"""The floor's watch, and what becomes of a sample when it is late."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.bench.floor import Floor
from tests.bench.latencies import Burst, Latencies, report

Event = tuple[str, dict[str, Any]]


def deletion(name: str) -> Event:
    return "MODIFIED", {"metadata": {"name": name, "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z"}}


BOOKMARK: Event = ("BOOKMARK", {"metadata": {"resourceVersion": "8", "creationTimestamp": None}, "spec": {}})
LIVING: Event = ("ADDED", {"metadata": {"name": "floor-9", "resourceVersion": "6"}})


class Server:
    """An API server that sends these events and then nothing more; a registry that takes, or refuses, any PUT."""

    def __init__(self, *events: Event, refuses: bool = False) -> None:
        self.put: list[str] = []
        self._events, self._refuses = events, refuses

    async def call(self, *_: Any) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": "1"}}

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[Event]:
        for event in self._events:
            yield event
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    async def put_status(self, app: str, instance_id: str, status: str) -> None:
        if self._refuses:
            raise ConnectionError
        self.put.append(f"{app} {instance_id.partition(':')[0]} {status}")


def floor_at(server: Server) -> Floor:
    return Floor(client=server, node=server, app="floor")  # type: ignore[arg-type]


async def test_it_watches_on_after_a_bookmark_and_puts_its_own_only() -> None:
    server = Server(LIVING, BOOKMARK, deletion("ours-1"), deletion("floor-1"), deletion("floor-1"))
    floor = floor_at(server)
    watching = asyncio.create_task(floor.run())
    assert (await floor.when_seen(["ours-1", "floor-1"], timeout=5)).keys() == {"ours-1", "floor-1"}
    await asyncio.sleep(0)
    assert server.put == ["floor 127.77.0.2 OUT_OF_SERVICE"]
    assert not watching.done()
    watching.cancel()


async def test_a_deletion_that_never_shows_is_missing_and_no_error() -> None:
    floor = floor_at(Server())
    floor.seen_at["ours-1"] = 5.0
    assert await floor.when_seen(["ours-1", "ours-2"], timeout=0) == {"ours-1": 5.0}


async def test_a_put_that_fails_ends_the_floor() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(floor_at(Server(deletion("floor-1"), refuses=True)).run(), 5)
    assert caught.group_contains(ConnectionError)


def test_a_sample_whose_event_was_not_seen_has_no_figure_by_that_clock() -> None:
    latencies = Latencies()
    latencies.note(1.0, 1.5, 2.0)
    latencies.note(1.0, None, 2.0)
    latencies.note(1.0, None, None)
    assert latencies == Latencies(asked=[1000, 1000], seen=[500], unseen=2)


def test_the_table_says_what_it_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    whole = Latencies(asked=[6, 6], seen=[2, 2])
    lacking = Latencies(asked=[18, 18], seen=[6], unseen=1)
    burst = Burst(begun_at=1, deleted_at=2, out_at=3, latencies=lacking)
    assert report(whole, lacking, Burst(begun_at=1, deleted_at=2, latencies=Latencies(unseen=2)), burst) == 0
    output = capsys.readouterr().out
    assert re.search(r"^eureka-drain, idle \(both nodes\) +18\.0 +18\.0 +- +-$", output, re.MULTILINE)
    assert "floor, burst of 2: the watch never showed 2 of the deletions; they are left out\n" in output
    assert "3.0 times the floor's (target: at most 4)" in output
    assert "burst, floor: deleting took 1.0 s; none out\n" in output


def test_a_target_that_could_not_be_compared_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    nothing, burst = Latencies(unseen=2), Burst(begun_at=1, deleted_at=2, out_at=3)
    assert report(nothing, Latencies(asked=[1, 1], seen=[1, 1]), burst, burst) == 1
    assert "deletion asked for: - times" in capsys.readouterr().out
