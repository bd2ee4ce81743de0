"""The demo's Eureka nodes, with the environment that the manifest gives them, as two real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.manifests.rendering import overlay, workloads
from tests.stack.addresses import free_port
from tests.stack.eureka_nodes import STOCK_IMAGE_SETTINGS, EurekaNode
from tests.stack.parts import eureka_node
from tests.stack.pod_handlers import environment
from tests.stack.prerequisites import ReportProgress

ADDRESSES = ("127.0.0.1", "127.0.0.2")


@asynccontextmanager
async def running(report_progress: ReportProgress, folder: Path) -> AsyncIterator[list[EurekaNode]]:
    """Both nodes, each at its own loopback address; what they write is in the folder."""
    program = await eureka_node(report_progress)
    (stateful_set,) = [one for one in workloads(overlay("demo")) if one.name == "eureka"]
    port = str(free_port())
    (folder / "stock.properties").write_text(STOCK_IMAGE_SETTINGS.replace("8761", port))
    names = [f"eureka-{number}" for number in range(len(ADDRESSES))]
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {name}.eureka\n" for address, name in zip(ADDRESSES, names, strict=True)))
    made = []
    for address, name in zip(ADDRESSES, names, strict=True):
        command = [
            *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"),
            *(f"-Djdk.net.hosts.file={hosts}", *program),
            *(f"--spring.config.additional-location={folder}/stock.properties", f"--server.address={address}"),
        ]
        node = EurekaNode(name, f"http://{address}:{port}/eureka", command, folder / f"{name}.log")
        pod = {"metadata": {"name": name, "namespace": "eureka-drain", "uid": name}, "spec": {}}
        own = environment(pod, stateful_set.container, ip=address, host_ip="127.0.0.1")
        node.env |= {variable: value.replace("8761", port) for variable, value in own.items()}
        made.append(node)
    try:
        await asyncio.gather(*(node.start() for node in made))
        yield made
    finally:
        await asyncio.gather(*(node.kill() for node in made), *(node.registry.close() for node in made))
