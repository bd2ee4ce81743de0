"""The controller's processes for one test: a region and a namespace of its own, on the shared servers."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.event_log import EventLog, event_log
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import running_pod
from tests.stack.rabbitmq import RabbitMq
from tests.stack.workloads import container, pod_spec

TOGETHER = (("run",),)
APART = (("watch",), ("work", "--region", "REGION"))


@dataclass
class Product:
    """What a test looks at."""

    region: str
    processes: list[ControllerProcess]
    log: EventLog
    broker_url: str

    def output(self) -> str:
        """What the processes logged."""
        return "".join(process.log.read_text() for process in self.processes)


async def pod_with_silent_registration(
    cluster: Cluster, eureka: EurekaNodes, namespace: str, name: str, *, app: str
) -> str:
    """A running pod with a registration that nobody renews, and that lasts; its instance id."""
    notes = {"eureka.drain/app": app, "eureka.drain/port": "8080"}
    pod = await running_pod(cluster, namespace, name, pod_spec(container(), grace_seconds=1), annotations=notes)
    assert pod.timeline.ip
    instance_id = f"{pod.timeline.ip}:{app}:8080"
    for node in eureka.nodes:
        await node.registry.register(app, instance_id, ip=pod.timeline.ip, lease_seconds=3_600)
    return instance_id


@asynccontextmanager
async def product(
    folder: Path,
    cluster: Cluster,
    broker: RabbitMq,
    eureka: EurekaNodes | Sequence[str],
    namespace: str,
    *,
    roles: Sequence[Sequence[str]] = TOGETHER,
    settings: Mapping[str, str] | None = None,
    also: Mapping[str, Sequence[str]] | None = None,
    started: bool = True,
) -> AsyncIterator[Product]:
    """Run it; at the end it must stop by itself, with status 0 and without a traceback.

    `also` are further regions; a pod that names none goes to that of `eureka`.
    """
    region = f"eu-{secrets.token_hex(3)}"
    urls = list(eureka) if not isinstance(eureka, EurekaNodes) else eureka.urls
    processes = [
        ControllerProcess(
            *(region if word == "REGION" else word for word in words),
            log=folder / f"{region}-{number}.log",
            broker=broker.url,
            regions={region: urls, **(also or {})},
            kubeconfig=cluster.kubeconfig,
            settings={
                "watch.namespaces": namespace,
                "watch.cluster": region,
                "routing.default_regions": region,
                "retention": "3s",
                "retry.max_backoff": "2s",
                "log.level": "DEBUG",
                **(settings or {}),
            },
        )
        for number, words in enumerate(roles)
    ]
    async with AsyncExitStack() as ended:
        for process in processes:
            ended.push_async_callback(process.stop)
        if started:
            for process in processes:
                await process.start()
        log = await ended.enter_async_context(event_log(broker.url, region, also=("", *(also or {}))))
        yield Product(region, processes, log, broker.url)
    for process in processes:
        text = process.log.read_text()
        assert "Traceback" not in text, text
        assert process.returncode in (0, None), f"{process.name} ended with {process.returncode}: {text[-2000:]}"
