"""Everything is rotated while drains go on: authorities, certificates, the broker's and the registry's passwords."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from controller.domain.commands import DrainCommand, drain_id
from controller.domain.instances import OUT_OF_SERVICE
from controller.errors import BrokerError
from controller.rabbit.names import dead_queue
from controller.rabbit.outbox import RabbitOutbox
from controller.rotation import Rotation
from controller.settings.sources import SECRETS_VARIABLE, Sources
from controller.signals import beside
from tests.contract.brokers import a_channel, fresh_region
from tests.contract.regions import fresh_app
from tests.e2e.event_log import event_log
from tests.stack.authority import Authority
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.mounted import Mounted
from tests.stack.waiting import until
from tests.tls.conftest import SecureBroker
from tests.tls.front import USER, Front
from tests.unit.building import a_command, a_pod

PAUSE = 0.1
"""Seconds between two deletions."""
EACH_TIME = 15
"""Deletions before the first rotation, between the two, and after the second; besides those during them."""


class Credentials:
    """What the servers want, and what is mounted into the processes."""

    def __init__(self, folder: Path, region: str, broker: SecureBroker, fronts: list[Front], nodes: Authority) -> None:
        self.secrets, self.certificates = Mounted(folder / "secrets"), Mounted(folder / "certificates")
        self.user = f"worker-{secrets.token_hex(3)}"
        self.issued: list[str] = []
        """Every password that there ever was."""
        self._region, self._broker, self._fronts, self._nodes = region, broker, fronts, nodes

    @property
    def settings(self) -> dict[str, str]:
        """Where a process finds them."""
        folder = self.certificates.folder
        return {
            "broker.ca_file": f"{folder}/broker-ca",
            "broker.cert_file": f"{folder}/certificate",
            "broker.key_file": f"{folder}/key",
            f"regions.{self._region}.ca_file": f"{folder}/nodes-ca",
            f"regions.{self._region}.username": USER,
        }

    async def begin(self) -> None:
        """A user of the broker, and a password for the nodes."""
        password = self._fresh()
        await self._broker.broker.add_user(self.user, password)
        await self._broker.broker.permit(self.user)
        self._mount_brokers(password)
        password = self._fresh()
        for front in self._fronts:
            front.password = password
        self._mount_nodes(password)

    async def end(self) -> None:
        """The broker is shared."""
        await self._broker.broker.delete_users(self.user)

    async def rotate_nodes(self) -> None:
        """Another authority, other certificates, another password; every connection ends."""
        self._nodes, password = Authority(), self._fresh()
        for front in self._fronts:
            front.certify(self._nodes)
            front.password = password
            await front.drop_connections()
            front.passed.clear()
        self._mount_nodes(password)

    async def rotate_broker(self) -> None:
        """The same at the broker, and for our own certificate."""
        password = self._fresh()
        await self._broker.certify(Authority())
        await self._broker.broker.add_user(self.user, password)
        await self._broker.broker.ctl("close_all_user_connections", self.user, "rotated")
        self._mount_brokers(password)

    def _fresh(self) -> str:
        self.issued.append(f"canary-{secrets.token_hex(8)}")
        return self.issued[-1]

    def _mount_brokers(self, password: str) -> None:
        certificate, key = self._broker.authority.issue("worker")
        self.certificates.put(**{"broker-ca": self._broker.authority.pem, "certificate": certificate, "key": key})
        self.secrets.put(broker__url=self._broker.url(self.user, password))

    def _mount_nodes(self, password: str) -> None:
        self.certificates.put(**{"nodes-ca": self._nodes.pem})
        self.secrets.put(**{f"regions__{self._region.replace('-', '_')}__password": password})


class Load:
    """Pods that are deleted one after the other. As a watch does it, each is published until that is confirmed."""

    def __init__(self, region: str, nodes: EurekaNodes, outbox: RabbitOutbox) -> None:
        self.app = fresh_app()
        self.commands: list[DrainCommand] = []
        self._region, self._nodes, self._outbox = region, nodes, outbox
        self._over = False

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Begin no more, and see those that have begun confirmed."""
        self._over = True
        await self._running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as sending:
            while not self._over:
                sending.create_task(self._delete())
                await asyncio.sleep(PAUSE)

    async def more(self) -> None:
        """Wait for so many more."""
        enough = len(self.commands) + EACH_TIME
        await until(lambda: len(self.commands) >= enough, "more deletions")

    def instance_of(self, command: DrainCommand) -> str:
        return f"{command.pod.ip}:{self.app}:8080"

    async def _delete(self) -> None:
        number, now = len(self.commands), datetime.now(UTC)
        pod = a_pod(
            secrets.token_hex(8),
            name=f"orders-{secrets.token_hex(4)}",
            ip=f"10.99.{number // 250}.{number % 250}",
            created_at=now - timedelta(hours=1),
            deletion_at=now + timedelta(seconds=30),
            grace_seconds=30,
            annotations={"app": self.app, "port": "8080"},
        )
        times = {"observed_at": now, "since_at": now, "end_at": now + timedelta(seconds=30)}
        command = a_command(pod, region=self._region, drain_id=drain_id("test", pod.uid, self._region), **times)
        self.commands.append(command)
        for node in self._nodes.nodes:
            await node.registry.register(self.app, self.instance_of(command), ip=pod.ip, lease_seconds=600)

        async def confirmed() -> bool:
            try:
                await self._outbox.send(command)
            except BrokerError:
                return False
            return True

        await until(confirmed, "confirmed", timeout=90)


async def test_while_everything_is_rotated_under_load_no_drain_is_lost(
    secure_broker: SecureBroker, fronts: list[Front], authority: Authority, eureka_pair: EurekaNodes, tmp_path: Path
) -> None:
    region = fresh_region()
    credentials = Credentials(tmp_path, region, secure_broker, fronts, authority)
    await credentials.begin()
    urls = [front.url for front in fronts]
    worker = ControllerProcess(
        *("work", "--region", region),
        log=tmp_path / "worker.log",
        broker=None,
        regions={region: urls},
        settings={**credentials.settings, "instance_id_templates": "{ip}:{app}:{port}"},
        secrets=credentials.secrets.folder,
    )
    sources = Sources(
        assignments=[
            f"{name}={value}"
            for name, value in {f"regions.{region}.nodes": ",".join(urls), **credentials.settings}.items()
        ],
        environ={SECRETS_VARIABLE: str(credentials.secrets.folder)},
    )
    settings = sources.load()
    outbox = RabbitOutbox(settings=settings.broker, regions=[region])
    rotation = Rotation(sources, settings, regions=[])
    load = Load(region, eureka_pair, outbox)
    async with AsyncExitStack() as ended:
        ended.push_async_callback(credentials.end)
        ended.push_async_callback(worker.stop)
        await worker.start()
        log = await ended.enter_async_context(event_log(secure_broker.broker.url, region))
        await ended.enter_async_context(beside(outbox.link.run))
        await ended.enter_async_context(
            beside(
                lambda: rotation.run(
                    lambda access: outbox.link.rotate_credentials(access.settings.broker, access.broker)
                )
            )
        )
        async with load:
            await load.more()
            await credentials.rotate_nodes()
            await load.more()
            await until(
                lambda: all(front.passed for front in fronts), "the nodes asked with the new password", timeout=60
            )
            await credentials.rotate_broker()
            await until(worker.is_ready, "the worker ready again", timeout=60)
            await until(lambda: outbox.link.up, "the outbox up again", timeout=60)
            await load.more()

        async def all_out() -> bool:
            shown = [await eureka_pair.statuses(load.app, load.instance_of(command)) for command in load.commands]
            return all(status == OUT_OF_SERVICE for statuses in shown for status in statuses)

        await until(all_out, f"{len(load.commands)} instances out of service at both nodes", timeout=60, interval=1)
        for command in load.commands:
            await log.wait_for(command.pod.name, "out_of_service")
        assert [event for event in log.events if event["outcome"] in ("failed", "refused")] == []
        async with a_channel(secure_broker.broker) as channel:
            assert (await channel.declare_queue(dead_queue(region), passive=True)).declaration_result.message_count == 0
        assert worker.running
    said = worker.log.read_text()
    assert worker.returncode == 0
    assert said.count("credentials and certificates reloaded") >= 2
    assert "signed by an authority that ca_file" in said
    assert "Traceback" not in said
    assert not [password for password in credentials.issued if password in said]
