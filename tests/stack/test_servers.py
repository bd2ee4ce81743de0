"""Each server can be broken and repaired as tests need it, and none outlives its parent."""

import asyncio
import secrets
import signal
import sys
from pathlib import Path

import aio_pika
import pytest

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.kube_client import KubeError
from tests.stack.observing import shown_everywhere
from tests.stack.rabbitmq import RabbitMq
from tests.stack.stack import Stack
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_durable_message_outlives_the_brokers_restart(broker: RabbitMq) -> None:
    name = f"kept-{secrets.token_hex(4)}"
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"still here", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, name)
    await broker.restart()
    async with await aio_pika.connect(broker.url) as connection:
        queue = await (await connection.channel()).declare_queue(name, passive=True)
        found = await until(lambda: queue.get(no_ack=True, fail=False), "the message")
        assert found.body == b"still here"
        await queue.delete(if_unused=False, if_empty=False)


async def test_a_memory_alarm_blocks_publishers_until_it_is_cleared(broker: RabbitMq) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        exchange = (await connection.channel()).default_exchange
        await broker.raise_memory_alarm()
        try:
            # The connection is blocked by its first publish after the alarm, which still gets through.
            await exchange.publish(aio_pika.Message(b""), "nowhere", mandatory=False, timeout=10)
            with pytest.raises(TimeoutError):
                await exchange.publish(aio_pika.Message(b""), "nowhere", mandatory=False, timeout=1)
        finally:
            await broker.clear_memory_alarm()
        await exchange.publish(aio_pika.Message(b""), "nowhere", mandatory=False, timeout=10)


async def test_a_paused_broker_answers_nobody_until_it_goes_on(broker: RabbitMq) -> None:
    broker.pause()
    try:
        with pytest.raises(TimeoutError):
            await aio_pika.connect(broker.url, timeout=1)
    finally:
        broker.resume()
    await (await aio_pika.connect(broker.url, timeout=10)).close()


async def test_what_a_broker_has_can_be_listed_while_a_queue_is_deleted(empty_broker: RabbitMq) -> None:
    async def come_and_go() -> None:
        async with await aio_pika.connect(empty_broker.url) as connection:
            channel = await connection.channel()
            for _ in range(10):
                await channel.declare_queue("passing", durable=True, arguments={"x-queue-type": "stream"})
                await channel.queue_delete("passing")

    passing = asyncio.create_task(come_and_go())
    while not passing.done():
        assert (await empty_broker.call("GET", "definitions", "empty"))["exchanges"] == []
    await passing


async def test_eureka_nodes_replicate_and_one_survives_without_the_other(eureka_pair: EurekaNodes) -> None:
    app, instance = f"pair-{secrets.token_hex(4)}", "1:2:3"
    first, second = eureka_pair.nodes
    await first.registry.register(app, instance, ip="127.0.0.9")
    await shown_everywhere(eureka_pair, app, instance, "UP")
    assert await second.registry.heartbeat(app, instance)
    await second.kill()
    try:
        await first.registry.put_status(app, instance, "OUT_OF_SERVICE")
        found = await first.registry.get(app, instance)
        assert found is not None
        assert found["status"] == "OUT_OF_SERVICE"
    finally:
        await second.start()
    assert await first.registry.delete(app, instance)
    assert not await first.registry.heartbeat(app, instance)


async def test_three_nodes_and_a_region_of_one_node_work(tmp_path: Path) -> None:
    async with Stack(regions={"big": 3, "small": 1}) as stack:
        assert len(set(stack.eureka["big"].urls)) == 3
        for region, nodes in stack.eureka.items():
            await nodes.nodes[-1].registry.register("app", f"{region}:1", ip="127.0.0.9")
            await shown_everywhere(nodes, "app", f"{region}:1", "UP")
            other = "small" if region == "big" else "big"
            assert set(await stack.eureka[other].statuses("app", f"{region}:1")) == {None}
        folder = stack.folder
    assert not folder.exists()


async def test_a_version_from_before_a_compaction_and_a_restart_is_too_old(cluster: Cluster) -> None:
    listed = await cluster.client.call("GET", "/api/v1/pods")
    for _ in range(3):
        await cluster.client.create("configmaps", {"metadata": {"generateName": "x-"}})
    await cluster.api.compact()
    await cluster.api.apiserver.restart()
    with pytest.raises(KubeError) as refused:
        async for _ in cluster.client.watch("pods", version=str(int(listed["metadata"]["resourceVersion"]) - 1)):
            pass
    assert refused.value.status == 410


async def test_a_service_account_may_do_what_its_role_grants_and_no_more(cluster: Cluster, namespace: str) -> None:
    await cluster.client.create("serviceaccounts", {"metadata": {"name": "reader"}}, namespace)
    await cluster.kubectl("-n", namespace, "create", "role", "reads", "--verb=list", "--resource=pods")
    account = f"--serviceaccount={namespace}:reader"
    await cluster.kubectl("-n", namespace, "create", "rolebinding", "reads", "--role=reads", account)
    file = await cluster.api.service_account_kubeconfig("reader", namespace)
    answers = {}
    for verb in ("list", "delete"):
        arguments = ("--kubeconfig", str(file), "-n", namespace, "auth", "can-i", verb, "pods")
        child = await asyncio.create_subprocess_exec("kubectl", *arguments, stdout=asyncio.subprocess.PIPE)
        printed, _ = await child.communicate()
        answers[verb] = printed.decode().strip()
    assert answers == {"list": "yes", "delete": "no"}


PARENT = """
import asyncio, pathlib, signal, sys
from tests.stack import processes
# A shell that starts us in the background has SIGINT ignored, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
async def main():
    folder = pathlib.Path(sys.argv[1])
    processes.remove_folder_with_us(folder)
    child = processes.Process("child", ["sh", "-c", "sleep 600 & echo $$ $!; wait"], log=folder / "pids")
    child.spawn()
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_nothing_outlives_a_parent_however_it_ended(tmp_path: Path, end: signal.Signals) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(folder), stderr=asyncio.subprocess.DEVNULL
    )
    pids: str = await until(lambda: (folder / "pids").exists() and (folder / "pids").read_text(), "two processes")
    parent.send_signal(end)
    await parent.wait()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.split()), "both gone")
    await until(lambda: not folder.exists(), "folder gone")
