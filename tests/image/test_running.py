"""The image at work: process 1, a bare number as user, a read-only root, no home."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import yaml

from controller.settings import Settings
from tests.image.performing import Image
from tests.image.running import Container, run
from tests.stack.addresses import free_port

KILLED = 128 + signal.SIGTERM
REGION = {"EUREKA_DRAIN_REGIONS__EU__NODES": "http://127.0.0.1:9/eureka"}
NOBODY_THERE = {**REGION, "EUREKA_DRAIN_BROKER__URL": "amqp://guest:guest@127.0.0.1:9/"}
HANGS = 60
"""Seconds after which it will not end any more; nothing is measured by it."""


@pytest.fixture
async def start(image: Image, tmp_path: Path) -> AsyncIterator[Callable[..., Container]]:
    started: list[Container] = []

    def begin(*arguments: str, **settings: str) -> Container:
        container = Container(image, *arguments, log=tmp_path / "log", settings=NOBODY_THERE | settings)
        container.spawn()
        started.append(container)
        return container

    yield begin
    for container in started:
        await container.kill()


async def until(condition: Callable[[], bool], container: Container) -> None:
    async def wait() -> None:
        while not condition():
            assert container.running, f"ended with {container.returncode}{container.tail()}"
            await asyncio.sleep(0.02)

    await asyncio.wait_for(wait(), HANGS)


async def get(url: str, container: Container) -> tuple[int, str]:
    """The first answer."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectionError:
                assert container.running, f"ended with {container.returncode}{container.tail()}"
                await asyncio.sleep(0.05)


async def test_without_arguments_it_lists_what_it_can_do(image: Image) -> None:
    ended = await run(image)
    assert (ended.status, ended.err) == (0, "")
    assert "Usage: eureka-drain" in ended.out


async def test_it_shows_the_settings_in_force(image: Image) -> None:
    ended = await run(image, "config", settings=NOBODY_THERE)
    assert (ended.status, ended.err) == (0, "")
    shown = yaml.safe_load(ended.out)
    assert shown["http"]["port"] == Settings().http.port
    assert shown["broker"]["url"] == "amqp://***@127.0.0.1:9/"


async def test_a_bad_setting_is_one_line_and_status_2(image: Image) -> None:
    ended = await run(image, "work", "--region", "eu", settings=NOBODY_THERE | {"EUREKA_DRAIN_RETENTION": "soon"})
    assert ended.status == 2
    assert ended.err.startswith("eureka-drain: retention: ")
    assert ended.err.count("\n") == 1


async def test_a_watch_outside_a_cluster_reports_what_it_lacks(image: Image) -> None:
    ended = await run(image, "watch", settings=NOBODY_THERE)
    assert ended.status == 1
    assert "neither in-cluster credentials nor a usable kubeconfig" in ended.err
    assert "Traceback" not in ended.err


async def test_kubectl_drains_is_there_too(image: Image) -> None:
    plugin = Image(image.root, image.environment, user=image.user, entrypoint=["kubectl-drains"])
    ended = await run(plugin, "drains", "--help")
    assert ended.status == 0
    assert "--since" in ended.out


async def test_a_worker_starts_answers_and_ends_in_order(start: Callable[..., Container]) -> None:
    port = free_port()
    worker = start("work", "--region", "eu", EUREKA_DRAIN_HTTP__PORT=str(port))
    assert await asyncio.wait_for(get(f"http://127.0.0.1:{port}/healthz", worker), HANGS) == (200, "ok\n")
    status, text = await get(f"http://127.0.0.1:{port}/readyz", worker)
    assert (status, "[-] broker connected" in text) == (503, True)
    assert worker.status("NSpid").split()[-1] == "1"
    assert worker.status("Uid").split() == worker.status("Gid").split() == ["65532"] * 4
    assert (worker.status("Groups"), int(worker.status("CapEff"), 16), worker.status("NoNewPrivs")) == ("", 0, "1")
    assert worker.children == []
    worker.signal_first(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), HANGS) == 0
    assert '"message": "stopped"' in worker.log.read_text().splitlines()[-1]
    assert "Traceback" not in worker.log.read_text()


async def test_the_page_comes_with_its_style(start: Callable[..., Container]) -> None:
    port = free_port()
    settings = {"EUREKA_DRAIN_OPS__KUBERNETES": "false", "EUREKA_DRAIN_OPS__ANONYMOUS_READ": "true"}
    ops = start("ops", EUREKA_DRAIN_HTTP__PORT=str(port), **settings)
    status, text = await asyncio.wait_for(get(f"http://127.0.0.1:{port}/", ops), HANGS)
    assert status == 200
    assert "/static/style.css" in text
    status, text = await get(f"http://127.0.0.1:{port}/static/style.css", ops)
    assert (status, "{" in text) == (200, True)
    assert ops.children == []


async def test_sigterm_while_it_starts_ends_it_too(start: Callable[..., Container]) -> None:
    # The kernel gives process 1 no default: a signal that it has no handler for yet is lost.
    worker = start("work", "--region", "eu")
    await until(lambda: bool(worker.first) and worker.catches(signal.SIGTERM), worker)
    worker.signal_first(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), HANGS) in (0, KILLED)


async def test_sigterm_ends_a_command_that_waits(start: Callable[..., Container]) -> None:
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        # Until the other side has ended.
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        drains = start("drains", EUREKA_DRAIN_BROKER__URL=url, EUREKA_DRAIN_BROKER__TIMEOUT="1h")
        await asyncio.wait_for(asked.wait(), HANGS)
        drains.signal_first(signal.SIGTERM)
        assert await asyncio.wait_for(drains.wait(), HANGS) == KILLED


async def test_nothing_can_be_written_anywhere(image: Image) -> None:
    # The command that writes a file where its user wants it: the shell's completion, in the user's home.
    ended = await run(image, "--install-completion")
    assert ended.status != 0
    assert not list((image.root / "root").iterdir())
