"""The product as separate processes, some watches and some workers, reaching everything through the proxies."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.network import Network
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess

# A pod is found past the response cache, without waiting for it.
SETTINGS = {
    "retention": "3s",
    "retry.max_backoff": "2s",
    "log.level": "DEBUG",
    "instance_id_templates": "{ip}:{app}:{port}",
}


@dataclass
class Fleet:
    """One region's processes."""

    region: str
    watches: list[ControllerProcess]
    workers: list[ControllerProcess]

    @property
    def processes(self) -> list[ControllerProcess]:
        return [*self.watches, *self.workers]

    def output(self) -> str:
        """What all of them logged."""
        return "\n".join(f"--- {process.log}\n{process.log.read_text()}" for process in self.processes)

    async def stop(self) -> None:
        """All at once; each must end by itself, with status 0 and without a traceback."""
        await asyncio.gather(*(process.stop() for process in self.processes))

    def complaints(self) -> list[str]:
        """What is wrong with how they ended."""
        found = []
        for process in self.processes:
            if process.returncode != 0:
                found.append(f"{process.name} ended with {process.returncode}, see {process.log}")
            if "Traceback" in process.log.read_text():
                found.append(f"{process.name} logged a traceback, see {process.log}")
        return found


@asynccontextmanager
async def fleet(
    folder: Path,
    cluster: Cluster,
    network: Network,
    namespace: str,
    *,
    watches: int = 1,
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Fleet]:
    """Run it in a region of its own."""
    region = f"eu-{secrets.token_hex(3)}"
    kubeconfig = network.kubeconfig(cluster)

    def process(name: str, *roles: str) -> ControllerProcess:
        return ControllerProcess(
            *roles,
            log=folder / f"{name}.log",
            broker=network.broker_url,
            regions={region: network.eureka_urls},
            kubeconfig=kubeconfig,
            settings={"watch.namespaces": namespace, "watch.cluster": region, **SETTINGS, **(settings or {})},
        )

    running = Fleet(
        region,
        watches=[process(f"watch-{number}", "watch") for number in range(watches)],
        workers=[process(f"work-{number}", "work", "--region", region) for number in range(workers)],
    )
    try:
        await asyncio.gather(*(one.start() for one in running.processes))
        yield running
    finally:
        await running.stop()
