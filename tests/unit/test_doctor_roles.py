"""Doctor asks for each role what this role connects to, and nothing that its network policy keeps from it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.domain.roles import DESTINATIONS, Destination, Role


class Listeners:
    """One port for each destination: each ends what connects to it, and says who was asked."""

    def __init__(self) -> None:
        self.asked: set[Destination] = set()
        self.ports: dict[Destination, int] = {}

    @asynccontextmanager
    async def listen(self, destination: Destination) -> AsyncIterator[None]:
        async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked.add(destination)
            writer.close()

        async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
            self.ports[destination] = server.sockets[0].getsockname()[1]
            yield

    def url(self, destination: Destination, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[destination]}"


@pytest.fixture
async def listeners() -> AsyncIterator[Listeners]:
    listeners = Listeners()
    kubernetes, broker, eureka = (listeners.listen(one) for one in Destination)
    async with kubernetes, broker, eureka:
        yield listeners


async def looked(listeners: Listeners, folder: Path, *roles: Role) -> list[dict[str, str]]:
    """What doctor prints. A process of its own: where a kubeconfig is is read once in each."""
    kubeconfig = folder / "kubeconfig"
    config = {
        "clusters": [{"name": "c", "cluster": {"server": listeners.url(Destination.kubernetes, "http")}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    kubeconfig.write_text(json.dumps(config))
    settings = folder / "controller.yaml"
    nodes = [f"{listeners.url(Destination.eureka, 'http')}/eureka"]
    broker = {"url": listeners.url(Destination.broker, "amqp")}
    settings.write_text(json.dumps({"broker": broker, "regions": {"eu": {"nodes": nodes}}}))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "controller", "doctor", "-o", "json", "--config", str(settings)),
        *(word for role in roles for word in ("--role", role)),
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await child.communicate()
    assert child.returncode == 1, "nobody there answers"
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize("role", Role)
async def test_it_asks_what_the_role_connects_to_and_nothing_else(
    listeners: Listeners, tmp_path: Path, role: Role
) -> None:
    await looked(listeners, tmp_path, role)
    assert listeners.asked == DESTINATIONS[role]


async def test_without_a_role_it_asks_everything(listeners: Listeners, tmp_path: Path) -> None:
    await looked(listeners, tmp_path)
    assert listeners.asked == set(Destination)


async def test_the_watchs_says_where_pods_are_compared_with_the_registry(listeners: Listeners, tmp_path: Path) -> None:
    checks = await looked(listeners, tmp_path, Role.watch)
    (compared,) = [check for check in checks if check["area"] == "region eu"]
    assert compared["severity"] == "skipped"
    assert compared["found"].endswith("From where kubectl works: eureka-drain doctor")
