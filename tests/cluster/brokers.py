"""The three brokers of the cluster: what is done to them, and which of them leads a queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cluster.ending import container_of, node_of, signal_container
from tests.cluster.home import INFRA
from tests.cluster.scene import Object, Scene
from tests.stack.authority import Authority
from tests.stack.processes import ProcessError
from tests.stack.waiting import until

BROKERS = ("rabbitmq-0", "rabbitmq-1", "rabbitmq-2")
DISTRIBUTION_PORT = 25672
"""By which brokers talk to each other; clients do not use it."""


async def certify_brokers(scene: Scene, authority: Authority) -> None:
    """Give the brokers a certificate. It is in force when they start again, after their kubelets have brought it."""
    certificate, key = authority.issue(f"rabbitmq.{INFRA}")
    await scene.put_secret(INFRA, "rabbitmq-tls", {"tls.crt": certificate, "tls.key": key})


async def rabbitmqctl(scene: Scene, *words: str) -> str:
    """Run it in whichever broker answers."""
    failure: ProcessError | None = None
    for broker in BROKERS:
        try:
            return await scene.kubectl("-n", INFRA, "exec", broker, "--", "rabbitmqctl", "-q", *words, timeout=40)
        except ProcessError as error:
            failure = error
    assert failure is not None
    raise failure


@asynccontextmanager
async def own_vhost(scene: Scene, name: str) -> AsyncIterator[None]:
    """A virtual host in which `admin` may do everything, removed in the end."""
    await rabbitmqctl(scene, "add_vhost", name)
    await rabbitmqctl(scene, "set_permissions", "-p", name, "admin", ".*", ".*", ".*")
    try:
        yield
    finally:
        await rabbitmqctl(scene, "delete_vhost", name)


async def leader_of(scene: Scene, queue: str, *, vhost: str = "drain") -> str:
    """Return the pod whose broker leads a queue."""
    words = ("list_queues", "-p", vhost, "name", "leader", "--formatter", "json")

    async def look() -> str | None:
        listed = json.loads(await rabbitmqctl(scene, *words))
        found = [one["leader"] for one in listed if one["name"] == queue and one["leader"]]
        return found[0].removeprefix("rabbit@").partition(".")[0] if found else None

    leader: str = await until(look, f"who leads {queue}", timeout=60, interval=1)
    return leader


async def pod_of(scene: Scene, broker: str) -> Object:
    """Return a broker's pod."""
    [found] = [one for one in await scene.pods(INFRA, "rabbitmq") if one["metadata"]["name"] == broker]
    return found


async def send_signal(scene: Scene, broker: str, name: str) -> None:
    """Send a signal to a broker's processes, from outside."""
    await signal_container(scene, await pod_of(scene, broker), name)


@asynccontextmanager
async def paused(scene: Scene, broker: str) -> AsyncIterator[None]:
    """It does nothing, and all its connections stay."""
    await send_signal(scene, broker, "SIGSTOP")
    try:
        yield
    finally:
        await send_signal(scene, broker, "SIGCONT")


@asynccontextmanager
async def parted(scene: Scene, broker: str) -> AsyncIterator[None]:
    """It and the other brokers do not hear each other; clients reach all of them."""
    pod = await pod_of(scene, broker)
    container, node = container_of(pod), node_of(scene, pod)
    listed = await asyncio.to_thread(node.run, "ctr", "-n", "k8s.io", "tasks", "ls")
    [pid] = [line.split()[1] for line in listed.splitlines() if line.startswith(container)]
    rules = [
        f"{way} -p tcp --{port} {DISTRIBUTION_PORT} -j DROP"
        for way in ("INPUT", "OUTPUT")
        for port in ("dport", "sport")
    ]

    async def change(action: str) -> None:
        lines = [f"nsenter --target {pid} --net iptables {action} {rule}" for rule in rules]
        await asyncio.to_thread(node.script, "\n".join(lines))

    await change("-A")
    try:
        yield
    finally:
        await change("-D")
