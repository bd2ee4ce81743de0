"""Many pods that go at the same time, each with a process and an id that none but it has."""

from __future__ import annotations

from tests.fakes.client import FakeClient
from tests.fakes.virtual_time import elapsed
from tests.flows.world import APP, World
from tests.unit.building import a_command, a_pod, at, terminating


def name_of(number: int) -> str:
    """A pod's name."""
    return f"orders-7d9f8c-{number:05}"


def ip_of(number: int) -> str:
    """Its address."""
    return f"10.1.0.{number + 1}"


def id_of(number: int) -> str:
    """Its id."""
    return f"{name_of(number)}:orders:8080"


async def register(world: World, numbers: range) -> list[FakeClient]:
    """Start a process of each, which lives."""
    processes = [
        FakeClient(world.nodes[0], APP, id_of(number), ip=ip_of(number), host=name_of(number)) for number in numbers
    ]
    for process in processes:
        await process.start()
    return processes


async def ask_to_go(world: World, numbers: range, *, grace: int) -> None:
    """Send a command for each, as the watch does; ``grace`` in seconds."""
    now = elapsed()
    for number in numbers:
        pod = a_pod(f"uid-{number}", name=name_of(number), ip=ip_of(number))
        times = {"observed_at": at(now), "since_at": at(now), "end_at": at(now + grace)}
        await world.send(a_command(terminating(pod, asked_at=at(now), grace=grace), **times))


def requests_about(world: World, numbers: range) -> list[str]:
    """What one node was asked, or told, about them."""
    ids = {id_of(number) for number in numbers}
    return [one for one in world.nodes[0].requests if not ids.isdisjoint(one.partition("?")[0].split("/"))]
