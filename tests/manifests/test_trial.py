"""The trial's pods: what they register at real Eureka nodes, and what its script refuses to write over."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.manifests.rendering import MANIFESTS, render, workloads
from tests.stack.addresses import free_port
from tests.stack.eureka_nodes import EurekaNode
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRIAL = MANIFESTS / "trial"
ADDRESS = "127.0.0.1"


@asynccontextmanager
async def hello(nodes: list[EurekaNode], port: int) -> AsyncIterator[None]:
    env = {"EUREKA_NODES": " ".join(node.url for node in nodes), "POD_IP": ADDRESS, "PORT": str(port)}
    child = await asyncio.create_subprocess_exec(sys.executable, str(TRIAL / "hello.py"), env=env)
    try:
        yield
    finally:
        child.terminate()
        assert await child.wait() == 0


async def status_of(port: int) -> int:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{ADDRESS}:{port}/") as answer:
            return answer.status
    except aiohttp.ClientConnectionError:
        return 0


async def test_a_pod_registers_and_is_ready_once_it_has(demo_nodes: list[EurekaNode]) -> None:
    port = free_port()
    await demo_nodes[0].kill()  # it goes to the next one
    async with hello(demo_nodes, port):
        name = os.uname().nodename

        async def is_ready() -> bool:
            return await status_of(port) == 200

        await until(is_ready, "the pod to be ready", timeout=30)
        shown = await demo_nodes[1].registry.get("HELLO", f"{name}:hello:{port}")
        assert shown is not None
        assert (shown["status"], shown["ipAddr"], shown["hostName"], shown["port"]["$"]) == ("UP", ADDRESS, name, port)
    assert await demo_nodes[1].registry.get("HELLO", f"{name}:hello:{port}") is not None, "it ends without a word"
    await demo_nodes[0].start()


async def test_its_pods_have_what_the_product_s_image_has_and_no_rights() -> None:
    (deployment,) = workloads(render(TRIAL))
    [work] = [one for one in workloads(render(MANIFESTS / "overlays" / "demo")) if one.role == "work"]
    assert deployment.container["image"] == work.container["image"]
    assert deployment.pod["automountServiceAccountToken"] is False


async def run_script(folder: Path, kubectl: str, **variables: str) -> tuple[int, str]:
    """Run the script with a kubectl of these lines of shell, and no other program but the system's."""
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{kubectl}\n")
    program.chmod(0o755)
    child = await asyncio.create_subprocess_exec(
        str(TRIAL / "try.sh"),
        env={"PATH": f"{folder}:/usr/bin:/bin", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, said.decode()


HAS_AN_INSTALLATION = (
    'case "$*" in *current-context*) echo kind-mine;; *eureka-drain-trial*) exit 1;; *apply*) exit 9;; esac'
)


@pytest.mark.parametrize(
    ("kubectl", "variables", "words"),
    [
        ("exit 1", {}, "kubectl has no context"),
        ('[ "$1" = config ] && echo kind-mine', {}, "no cluster answers at the context kind-mine"),
        (HAS_AN_INSTALLATION, {}, "has a namespace eureka-drain that is not from here"),
        (HAS_AN_INSTALLATION, {"REMOVE": "1"}, "has no trial to remove"),
        ('[ "$1" = config ] && echo production; exit 0', {}, "If it is the one, say so:  make try CONTEXT=production"),
    ],
)
async def test_the_script_writes_into_no_cluster_that_is_not_for_it(
    tmp_path: Path, kubectl: str, variables: dict[str, str], words: str
) -> None:
    status, said = await run_script(tmp_path, kubectl, **variables)
    assert (status, words in said) == (2, True), said


async def test_the_namespace_that_marks_a_trial_comes_first() -> None:
    # The script takes a namespace eureka-drain for its own where this one is there.
    script = (TRIAL / "try.sh").read_text()
    assert script.index('apply -k "$trial"') < script.index('apply -k "$demo"')
    assert (
        yaml.safe_load((TRIAL / "hello.yaml").read_text().split("---")[0])["metadata"]["name"] == "eureka-drain-trial"
    )
