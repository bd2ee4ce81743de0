"""One crash plan's world on the shared servers: a region, a namespace, `watch` and `work` behind recording proxies.

Order of events: the processes start; a workload runs; the process that dies at the trigger is started again
as soon as it is dead; when nothing is under way any more the processes are ended in order, and what is left is read.

The pods are real objects on the node stand-in, held by a long preStop as by a service that finishes its requests;
what the registry knows of their processes is played (crash_apps.py). The proxy to the API server passes TLS on unread:
all of a controller's calls there are reads, and what follows from them shows in the broker.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import yaml

from tests.e2e.event_log import EventLog, event_log, reason_of
from tests.faults.crash_apps import App
from tests.faults.crash_endings import Ending, finals_of, state_of
from tests.faults.crash_servers import Servers, empty_namespace, forget_region, messages_in
from tests.faults.recording import Proxy, Recorder, Trigger, Witness
from tests.faults.recording_amqp import AmqpTalk
from tests.faults.recording_http import HttpTalk
from tests.faults.recording_units import PlainTalk
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.waiting import NeverHappenedError, until
from tests.stack.workloads import container, pod_spec

Object = dict[str, Any]

NODES = "abc"
QUIET_SECONDS = 1.5
"""After the last side effect, with nothing in flight."""
LOST_SECONDS = 45.0
"""Without a side effect, although something seems to be in flight: the longest wait of these settings is 35 s."""
SETTLE_WITHIN = 120.0
LATE = 40.0
"""A step of the story that takes longer has failed, restart of a process included."""


class Scene:
    """What a workload plays with."""

    def __init__(
        self, servers: Servers, folder: Path, recorder: Recorder, *, region: str, namespace: str, log: EventLog
    ) -> None:
        folder.mkdir(parents=True)
        self.servers, self.folder, self.recorder = servers, folder, recorder
        self.region, self.namespace, self.log = region, namespace, log
        self.processes: dict[str, ControllerProcess] = {}
        self.apps: dict[str, App] = {}
        self.concluded: list[str] = []
        """Labels of the pods that must have come to a final outcome at the end."""
        self.first_event = 0
        """Events before this one belong to what came before the workload proper."""
        self._witnesses: dict[str, Witness] = {}
        self._kubeconfigs: dict[str, Path] = {}
        self._urls: dict[str, list[str]] = {}

    @property
    def client(self) -> Any:
        return self.servers.cluster.client

    @property
    def eureka(self) -> EurekaNodes:
        return self.servers.eureka

    async def put_behind_proxies(self, name: str, opened: AsyncExitStack) -> None:
        """Give a process its own way to every server."""

        async def kill() -> None:
            await self.processes[name].kill()

        witness = self._witnesses[name] = Witness(name, self.recorder, kill)
        api = urlsplit(self.servers.cluster.api.url)
        api_proxy = Proxy("Kubernetes", (_host(api.hostname), api.port or 443), PlainTalk, witness)
        broker_proxy = Proxy(
            "RabbitMQ", ("127.0.0.1", self.servers.broker.port), lambda: AmqpTalk(self.region), witness
        )
        await opened.enter_async_context(api_proxy)
        await opened.enter_async_context(broker_proxy)
        self._kubeconfigs[name] = self._kubeconfig_through(name, api_proxy.port)
        self._urls[name] = [f"amqp://guest:guest@127.0.0.1:{broker_proxy.port}/"]
        for letter, node in zip(NODES, self.eureka.nodes, strict=False):
            target = urlsplit(node.url)
            proxy = Proxy(
                f"node {letter}",
                (_host(target.hostname), target.port or 80),
                lambda letter=letter: HttpTalk(letter),  # type: ignore[misc]
                witness,
            )
            await opened.enter_async_context(proxy)
            self._urls[name].append(f"http://127.0.0.1:{proxy.port}/eureka")

    def process(self, name: str, *roles: str, settings: Mapping[str, str] | None = None) -> ControllerProcess:
        """A process of the product, or another one in its place; not started."""
        broker, *nodes = self._urls[name]
        given = {
            "watch.namespaces": self.namespace,
            "watch.cluster": self.region,
            "retention": "2s",
            "retry.max_backoff": "2s",
            "instance_id_templates": "{app}:{name}:{port}",
            "log.level": "DEBUG",
            **(settings or {}),
        }
        self.processes[name] = ControllerProcess(
            *roles,
            log=self.folder / f"{name}.log",
            broker=broker,
            regions={self.region: nodes},
            kubeconfig=self._kubeconfigs[name],
            settings=given,
        )
        return self.processes[name]

    async def revive(self) -> None:
        """Start what the trigger kills."""
        await self.recorder.fired.wait()
        assert self.recorder.trigger is not None
        name = self.recorder.trigger.step.process
        await self._witnesses[name].dead.wait()
        await self.processes[name].start()
        self.recorder.changed_at = time.monotonic()

    async def add(self, label: str, pod: Object, *, app: str, instance_id: str = "") -> App:
        """The process of a pod, known by a label from now on; it registers on request."""
        instance_id = instance_id or f"{app}:{pod['metadata']['name']}:8080"
        self.apps[label] = App(label, pod, app=app, instance_id=instance_id, eureka=self.eureka)
        return self.apps[label]

    async def show(self, app: App, status: str | None, *, of: App | None = None) -> None:
        """Wait until every node shows this state of the instance, registered by that pod's process."""

        async def look() -> bool:
            found = await self.eureka.read(app.app, app.instance_id)
            ips = {one["ipAddr"] for one in found if one}
            statuses = {one["status"] if one else None for one in found}
            return statuses == {status} and (of is None or ips == {of.ip})

        await until(look, f"{app.label} {status or 'absent'} at all nodes", timeout=LATE, interval=0.15)

    async def pods(self, count: int, **labels: str) -> list[Object]:
        """That many running pods, none of them going away."""
        selector = ",".join(f"{name.replace('_', '-')}={value}" for name, value in labels.items())

        async def look() -> list[Object] | None:
            found = await self.client.list("pods", self.namespace, labels=selector)
            here = [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("podIP")]
            return here if len(here) == count else None

        found: list[Object] = await until(look, f"{count} pods with {selector}", timeout=LATE, interval=0.2)
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    async def end_of_pod(self, app: App) -> None:
        """Its preStop is over: the process falls silent, the object goes."""
        await app.stop()
        await self.client.delete("pods", app.name, self.namespace, grace_seconds=1, uid=app.uid)

    async def settle(self) -> None:
        """Wait until nothing is under way any more."""

        async def look() -> bool:
            recorder = self.recorder
            if recorder.trigger is not None and recorder.fired.is_set() and not await self._all_ready():
                return False
            if recorder.quiet_for > LOST_SECONDS:
                recorder.trouble.append(f"nothing moves any more, with {recorder.in_flight} commands under way")
                return True
            if recorder.in_flight > 0 or recorder.quiet_for < QUIET_SECONDS:
                return False
            # The follower of the log may be a little behind.
            finals = self.finals()
            if recorder.quiet_for < 3 * QUIET_SECONDS and any(
                not any(key.startswith(f"{label} ") for key in finals) for label in self.concluded
            ):
                return False
            return await self._ready_messages(f"drain.commands.{self.region}") == 0

        try:
            await until(look, "everything to settle", timeout=SETTLE_WITHIN, interval=0.2)
        except NeverHappenedError as error:
            self.recorder.trouble.append(str(error))

    def finals(self) -> dict[str, list[str]]:
        """The final outcomes of the workload proper."""
        return finals_of(self.log.events[self.first_event :], list(self.apps.values()))

    async def ending(self, unrouted_before: int) -> Ending:
        """What is left, once the processes have ended."""
        ending = Ending(finals=self.finals(), trouble=list(self.recorder.trouble))
        for app in self.apps.values():
            found = await self.eureka.read(app.app, app.instance_id)
            ending.registry[app.label] = [state_of(one) for one in found]
        for queue in (f"drain.commands.{self.region}", f"drain.dead.{self.region}"):
            ending.left[queue.removesuffix(f".{self.region}")] = await self._ready_messages(queue)
        ending.left["drain.unrouted"] = await self._ready_messages("drain.unrouted") - unrouted_before
        for name, process in self.processes.items():
            if "Traceback" in process.log.read_text():
                ending.trouble.append(f"a traceback in {process.log}")
            if process.returncode != 0:
                ending.trouble.append(f"{name} ended with {process.returncode}")
        return ending

    async def publish(self, body: bytes) -> None:
        """Send a command as it was sent before."""
        async with await aio_pika.connect(self.servers.broker.url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("drain.commands", ensure=False)
            message = aio_pika.Message(
                body,
                type="drain.command",
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            self.recorder.in_flight += 1
            await exchange.publish(message, self.region)

    def record(self) -> list[str]:
        """The events, for whoever wants to know why."""
        by_uid = {app.uid: app.label for app in self.apps.values()}
        return [
            f"{event['at'][11:23]} {by_uid.get(event['uid'], event['pod'])}: {event['outcome']} {reason_of(event)}"
            for event in self.log.events
        ]

    def write_down(self) -> None:
        """Leave what happened beside the processes' logs."""
        events = [json.dumps(event) for event in self.log.events]
        (self.folder / "events.jsonl").write_text("\n".join(events) + "\n")
        effects = [f"{process}: {effect.kind}" for process, effect in self.recorder.effects]
        (self.folder / "effects.txt").write_text("\n".join(effects) + "\n")

    async def _all_ready(self) -> bool:
        return all([await process.is_ready() for process in self.processes.values()])

    async def _ready_messages(self, queue: str) -> int:
        return await messages_in(self.servers.broker, queue)

    def _kubeconfig_through(self, name: str, port: int) -> Path:
        config = yaml.safe_load(self.servers.cluster.kubeconfig.read_text())
        for cluster in config["clusters"]:
            cluster["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path


@asynccontextmanager
async def scene(servers: Servers, folder: Path, trigger: Trigger | None) -> AsyncIterator[Scene]:
    """Everything but the processes' start; at the end nothing of it is left on the servers."""
    region = f"eu-{secrets.token_hex(3)}"
    client = servers.cluster.client
    await client.create("namespaces", {"metadata": {"name": region}}, None)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(forget_region, servers.broker, region)
        opened.push_async_callback(empty_namespace, servers.cluster, region)
        log = EventLog(region)
        recorder = Recorder(trigger)
        found = Scene(servers, folder, recorder, region=region, namespace=region, log=log)
        for name in ("watch", "work"):
            await found.put_behind_proxies(name, opened)
        found.process("watch", "watch")
        found.process("work", "work", "--region", region)
        opened.push_async_callback(_end_processes, found)
        opened.push_async_callback(_silence, found)
        yield found


@asynccontextmanager
async def running(found: Scene) -> AsyncIterator[None]:
    """Start the processes, follow the log, and start again what is killed."""
    await asyncio.gather(*(process.start() for process in found.processes.values()))
    async with event_log(found.servers.broker.url, found.region) as log:
        found.log = log
        reviving = asyncio.create_task(found.revive())
        try:
            yield
            if found.recorder.fired.is_set():
                await reviving
        finally:
            reviving.cancel()
            await asyncio.gather(reviving, return_exceptions=True)


def held() -> Object:
    """A pod's spec whose preStop outlasts everything here."""
    return pod_spec(container(lifecycle={"preStop": {"sleep": {"seconds": 290}}}), grace_seconds=300)


def noted_for(app: str, **more: str) -> dict[str, str]:
    """Ours, so that an instance younger than the registry's cache is found by its id."""
    facts = {"app": app, "port": "8080", **{name.replace("_", "-"): value for name, value in more.items()}}
    return {f"eureka.drain/{name}": value for name, value in facts.items()}


def _host(name: str | None) -> str:
    return "127.0.0.1" if name in (None, "localhost") else str(name)


async def _silence(found: Scene) -> None:
    for app in found.apps.values():
        await app.stop()


async def _end_processes(found: Scene) -> None:
    for process in found.processes.values():
        await process.kill()
