"""Eureka nodes of our own: N stock Spring Cloud servers that are each other's peers.

Order of events: all JVMs are started at once, since each takes seconds of processor time and none waits for another;
a node is ready when it answers `GET apps`.

Traps: a node finds itself among its peers by its host name, so on one machine each needs another name (localhost,
127.0.0.1, 127.0.0.3, ...), else a node replicates to itself and brings deleted instances back. A stock node that finds
no peer waits 30 s between tries, and neither evicts nor counts renewals until it gave up: here 1 s.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from tests.stack.addresses import free_port
from tests.stack.processes import Process
from tests.stack.registry_client import Instance, RegistryClient

STOCK_IMAGE_SETTINGS = """\
server.port = 8761
eureka.client.fetch-registry = false
eureka.client.register-with-eureka = false
eureka.server.wait-time-in-ms-when-sync-empty = 0
"""
"""What the image steeltoeoss/eureka-server has of its own: a node alone, until its environment says otherwise."""
API_PATH = os.environ.get("EUREKA_API_PATH", "/eureka")
"""Another one is that of Netflix's own server, by `python -m tests.versions` only."""
_SMALL_JVM = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms64m", "-Xmx256m", "-Xss512k", "-XX:-UsePerfData"]


class EurekaNode(Process):
    """One node: a process with its URL (`http://host:port/eureka`) and a client for it."""

    def __init__(self, name: str, url: str, command: Sequence[str], log: Path) -> None:
        super().__init__(name, command, log=log, ready=self._answers, stop_budget=10)
        self.url = url
        self.registry = RegistryClient(url)

    async def _answers(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
                # Whether it answers, not who it is: tests of its certificate ask that themselves.
                session.get(f"{self.url}/apps", headers={"Accept": "application/json"}, ssl=False) as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


class EurekaNodes:
    """One region: its nodes, started and stopped together or one by one (`nodes[0].stop()`, `.pause()`, ...)."""

    def __init__(
        self,
        folder: Path,
        program: Sequence[str],
        *,
        count: int = 2,
        region: str = "eureka",
        settings: Mapping[str, str] | None = None,
        scheme: str = "http",
    ) -> None:
        """`program` is `parts.eureka_node`'s.

        `settings` are Spring properties for every node, stronger than ours; https needs `server.ssl` there.
        """
        self.folder = folder
        self.region = region
        hosts = [_host(index) for index in range(count)]
        urls = [f"{scheme}://{host}:{free_port()}{API_PATH}" for host in hosts]
        self.nodes = [
            EurekaNode(
                f"{region}-{index}",
                url,
                [
                    "java",
                    *_SMALL_JVM,
                    f"-Djava.io.tmpdir={folder}",
                    *program,
                    *_flags(host, url, urls, settings or {}),
                ],
                folder / f"{region}-{index}.log",
            )
            for index, (host, url) in enumerate(zip(hosts, urls, strict=True))
        ]

    @property
    def urls(self) -> list[str]:
        """As a client is configured with them."""
        return [node.url for node in self.nodes]

    async def start(self) -> None:
        """All nodes at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as starting:
            for node in self.nodes:
                starting.create_task(node.start())

    async def stop(self) -> None:
        """All nodes at once, also those that are paused or stopped already."""
        async with asyncio.TaskGroup() as stopping:
            for node in self.nodes:
                stopping.create_task(node.stop())
        for node in self.nodes:
            await node.registry.close()

    async def close(self) -> None:
        """End for good: nothing is worth saving."""
        await asyncio.gather(*(node.kill() for node in self.nodes), *(node.registry.close() for node in self.nodes))

    async def read(self, app: str, instance_id: str) -> list[Instance | None]:
        """What each node says about an instance, straight from its registry."""
        return await asyncio.gather(*(node.registry.get(app, instance_id) for node in self.nodes))

    async def statuses(self, app: str, instance_id: str) -> list[str | None]:
        """The status at each node; None where the instance is absent."""
        return [found["status"] if found else None for found in await self.read(app, instance_id)]


def _host(index: int) -> str:
    return ["localhost", "127.0.0.1"][index] if index < 2 else f"127.0.0.{index + 1}"


def _flags(host: str, url: str, urls: Sequence[str], settings: Mapping[str, str]) -> list[str]:
    peers = [peer for peer in urls if peer != url]
    properties = {
        "server.port": url.rsplit(":", 1)[1].removesuffix(API_PATH),
        "server.address": "127.0.0.1" if host == "localhost" else host,
        "spring.application.name": "eureka",
        "eureka.instance.hostname": host,
        "eureka.client.service-url.defaultZone": ",".join(f"{peer}/" for peer in peers or [url]),
        "eureka.server.registry-sync-retry-wait-ms": "1000",
    }
    if not peers:
        properties |= {"eureka.client.register-with-eureka": "false", "eureka.client.fetch-registry": "false"}
    return [f"--{key}={value}" for key, value in (properties | dict(settings)).items()]
