"""Everything at once: a cluster, a broker and the regions' Eureka nodes, in a temporary folder.

Order of events: prerequisites, then every part builds what it needs and starts, all at the same time; at the end, or
when one of them fails, all are ended and the folder is removed. `keep=True` leaves the folder, not the processes.

Trap: everything hangs on this process. What dies with it by SIGKILL is cleaned up by the guardian (processes.py).
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol, Self

from tests.stack import parts
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.prerequisites import ETCD, ETCDCTL, JAVA, KUBECTL, OPENSSL, RABBITMQ, ReportProgress, require
from tests.stack.processes import keep_folder, remove_folder_with_us
from tests.stack.rabbitmq import RabbitMq, ServerCertificates


class _Part(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


def report_on_stderr() -> ReportProgress:
    """Lines with the seconds since now."""
    begun = time.monotonic()

    def report_progress(line: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {line}", file=sys.stderr, flush=True)

    return report_progress


class Stack:
    """An async context manager. Asking for a part that was not wanted is an error."""

    def __init__(
        self,
        *,
        regions: Mapping[str, int] | None = None,
        broker: bool = False,
        cluster: bool = False,
        management: bool = False,
        broker_certificates: ServerCertificates | None = None,
        eureka_settings: Mapping[str, str] | None = None,
        settings_of_regions: Mapping[str, Mapping[str, str]] | None = None,
        users: Mapping[str, Sequence[str]] | None = None,
        apiserver_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
        keep: bool = False,
        report_progress: ReportProgress | None = None,
    ) -> None:
        """`regions` maps a name to its number of Eureka nodes. `report_progress` gets the progress; None is silence.

        `eureka_settings` are for the nodes of all regions, `settings_of_regions` for those of one, and stronger.
        """
        self.eureka: dict[str, EurekaNodes] = {}
        self.folder = Path()
        self._regions = dict(regions or {})
        self._wants_broker, self._management = broker, management
        self._broker_certificates = broker_certificates
        self._wants_cluster = cluster
        self._eureka_settings = dict(eureka_settings or {})
        self._settings_of_regions = dict(settings_of_regions or {})
        self._cluster_options = (users, apiserver_flags, controller_manager_flags)
        self._keep = keep
        self._report_progress: ReportProgress = report_progress or (lambda _: None)
        self._broker: RabbitMq | None = None
        self._cluster: Cluster | None = None
        self._cleanup = AsyncExitStack()

    @property
    def broker(self) -> RabbitMq:
        assert self._broker is not None, "this stack was made without a broker"
        return self._broker

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "this stack was made without a cluster"
        return self._cluster

    async def __aenter__(self) -> Self:
        wanted = [JAVA] if self._regions else []
        wanted += [RABBITMQ] if self._wants_broker else []
        wanted += [ETCD, ETCDCTL, OPENSSL, KUBECTL] if self._wants_cluster else []
        await require(*wanted, report_progress=self._report_progress)
        self.folder = Path(tempfile.mkdtemp(prefix="eureka-drain-stack-"))
        remove_folder_with_us(self.folder)
        self._cleanup.callback(self._leave_folder)
        try:
            async with asyncio.TaskGroup() as starting:
                for work in self._work():
                    starting.create_task(work)
        except BaseException as trouble:
            await self._cleanup.aclose()
            # One failure is the usual case: then say that, not "1 sub-exception".
            if isinstance(trouble, BaseExceptionGroup) and len(trouble.exceptions) == 1:
                raise trouble.exceptions[0] from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

    def _work(self) -> list[Coroutine[None, None, None]]:
        work: list[Coroutine[None, None, None]] = []
        if self._wants_cluster:
            work.append(self._start_cluster())
        if self._wants_broker:
            work.append(self._start_broker())
        if self._regions:
            work.append(self._start_eureka())
        return work

    async def _start_cluster(self) -> None:
        servers = await parts.kubernetes_servers(self._report_progress)
        users, apiserver_flags, controller_manager_flags = self._cluster_options
        self._cluster = Cluster(
            self.folder / "kubernetes",
            servers,
            users=users,
            apiserver_flags=apiserver_flags,
            controller_manager_flags=controller_manager_flags,
        )
        await self._start("Kubernetes", self._cluster)

    async def _start_broker(self) -> None:
        self._broker = RabbitMq(
            self.folder / "rabbitmq", management=self._management, certificates=self._broker_certificates
        )
        await self._start("RabbitMQ", self._broker)

    async def _start_eureka(self) -> None:
        program = await parts.eureka_node(self._report_progress)
        for region, count in self._regions.items():
            settings = self._eureka_settings | dict(self._settings_of_regions.get(region, {}))
            self.eureka[region] = EurekaNodes(
                self.folder / "eureka", program, count=count, region=region, settings=settings
            )
        async with asyncio.TaskGroup() as starting:
            for region, nodes in self.eureka.items():
                starting.create_task(self._start(f"Eureka region {region}, {len(nodes.nodes)} nodes", nodes))

    async def _start(self, what: str, part: _Part) -> None:
        self._cleanup.push_async_callback(part.close)
        self._report_progress(f"{what}: starting")
        await part.start()
        self._report_progress(f"{what}: ready")

    def _leave_folder(self) -> None:
        if self._keep:
            keep_folder(self.folder)
            self._report_progress(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
