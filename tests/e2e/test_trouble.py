"""What goes wrong around the product, and what it must do all the same."""

import asyncio
import random
from pathlib import Path

import aio_pika
import msgspec

from controller.rabbit.topology import declare_one, streams
from controller.settings import BrokerSettings
from tests.e2e.event_log import event_log, messages_of, reason_of
from tests.e2e.product import APART, product
from tests.e2e.test_causes import BY_TEMPLATE, serving
from tests.faults.street import street
from tests.faults.takeover import QUICK, Kind, Takeover
from tests.faults.takeover_stage import SETTINGS
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import running_pod, shown_everywhere
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import pod_spec, python_service


async def test_a_node_that_is_down_is_drained_when_back_and_the_other_at_once(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    first, second = eureka_pair.nodes
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE) as running:
        pod = await serving(cluster, eureka_pair, namespace, "halved")
        instance_id = f"{pod.timeline.ip}:halved:8080"
        second.pause()
        try:
            await cluster.client.delete("pods", "halved", namespace)

            async def out_at_first() -> bool:
                found = await first.registry.get("halved", instance_id)
                return found is not None and found["status"] == "OUT_OF_SERVICE"

            await until(out_at_first, "out of service at the node that answers", timeout=15)
            tried = await until(
                lambda: [event for event in running.log.about("halved") if event["outcome"] == "retrying"], "a retry"
            )
            assert tried[0]["reason"]["code"] == "unreachable"
            assert second.url in reason_of(tried[0])
            assert "out_of_service" not in running.log.outcomes("halved"), "claimed before it was proved everywhere"
        finally:
            second.resume()
        event = await running.log.wait_for("halved", "out_of_service")
        assert [node["condition"] for node in event["nodes"]] == ["out", "out"]
        await running.log.wait_for("halved", "removed")
        await shown_everywhere(eureka_pair, "halved", instance_id, None)


async def test_a_frozen_api_server_is_noticed_and_nothing_is_missed(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE, roles=APART) as running:
        pod = await serving(cluster, eureka_pair, namespace, "frozen")
        cluster.api.apiserver.pause()
        try:
            await until(lambda: "watch interrupted" in running.output(), "the silence to be noticed", timeout=20)
        finally:
            cluster.api.apiserver.resume()
        await cluster.client.delete("pods", "frozen", namespace)
        await running.log.wait_for("frozen", "out_of_service")
        await shown_everywhere(eureka_pair, "frozen", f"{pod.timeline.ip}:frozen:8080", None)


async def test_every_deletion_while_the_broker_is_away_is_drained(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE) as running:
        pods = [await serving(cluster, eureka_pair, namespace, f"away{number}") for number in range(3)]
        await broker.stop()
        for pod in pods:
            await cluster.client.delete("pods", pod.timeline.name, namespace)
        assert not await running.processes[0].is_ready(), "ready without a broker"
        await broker.start()
        for pod in pods:
            name = pod.timeline.name
            await shown_everywhere(eureka_pair, name, f"{pod.timeline.ip}:{name}:8080", None)
        await until(running.processes[0].is_ready, "ready again")


async def test_hostile_annotations_are_refused_and_the_next_pod_is_served(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    hostile = {
        "slash": {"eureka.drain/instance-id": "a/b"},
        "dots": {"eureka.drain/instance-id": ".."},
        "braces": {"eureka.drain/instance-id": "{0.__class__}", "eureka.drain/app": "{}"},
        "port": {"eureka.drain/port": "8080; DROP"},
        "retention": {"eureka.drain/retention": "soon\nERROR forged line"},
        "region": {"eureka.drain/region": "eu.*.#"},
        "enabled": {"eureka.drain/enabled": "nope"},
    }
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE) as running:
        service = python_service("hostile", eureka_pair.urls, renewal_seconds=1)
        pods = [
            await running_pod(cluster, namespace, name, pod_spec(service), annotations=annotations)
            for name, annotations in hostile.items()
        ]
        good = await serving(cluster, eureka_pair, namespace, "good")
        for name in (*hostile, "good"):
            await cluster.client.delete("pods", name, namespace)
        for name in hostile:
            event = await running.log.wait_for(name, "refused")
            assert event["reason"]["code"] == "invalid_annotation"
            assert "annotation eureka.drain/" in reason_of(event)
        await shown_everywhere(eureka_pair, "good", f"{good.timeline.ip}:good:8080", None)
        for pod in pods:
            assert await eureka_pair.statuses("hostile", f"{pod.timeline.ip}:hostile:8080") == ["UP", "UP"]
        lines = running.output().splitlines()
        assert not [line for line in lines if line.startswith("ERROR forged")]
        assert sum("drain refused" in line and "WARNING" in line for line in lines) == len(hostile)


async def test_the_annotation_of_another_pods_id_gives_no_power_over_it(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE) as running:
        victim = await serving(cluster, eureka_pair, namespace, "victim")
        victim_id = f"{victim.timeline.ip}:victim:8080"
        annotations = {"eureka.drain/app": "victim", "eureka.drain/instance-id": victim_id}
        service = python_service("thief", eureka_pair.urls, renewal_seconds=1)
        await running_pod(cluster, namespace, "thief", pod_spec(service), annotations=annotations)
        await cluster.client.delete("pods", "thief", namespace)
        event = await running.log.wait_for("thief", "refused")
        assert event["instance_id"] == victim_id
        assert await eureka_pair.statuses("victim", victim_id) == ["UP", "UP"]


async def test_what_is_not_ours_is_dead_lettered_and_an_unknown_region_kept(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    settings = {**BY_TEMPLATE, "routing.other_regions": "send"}
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=settings) as running:
        bodies = [b"<html>", b'{"version": 99}', b'{"version": 1}', b"\xff\xfe", b"[" * 100_000, b""]
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("drain.commands")
            for body in bodies:
                message = aio_pika.Message(body, type="drain.command", content_type="application/json")
                await exchange.publish(message, running.region)
        pod = await serving(cluster, eureka_pair, namespace, "after")
        await running_pod(
            cluster,
            namespace,
            "elsewhere",
            pod_spec(python_service("elsewhere", eureka_pair.urls)),
            annotations={"eureka.drain/region": "nobody-declared-it"},
        )
        await cluster.client.delete("pods", "after", namespace)
        await cluster.client.delete("pods", "elsewhere", namespace)
        await shown_everywhere(eureka_pair, "after", f"{pod.timeline.ip}:after:8080", None)
        dead: list[aio_pika.abc.AbstractIncomingMessage] = []

        async def all_dead() -> bool:
            dead.extend(await messages_of(broker.url, f"drain.dead.{running.region}"))
            return len(dead) == len(bodies)

        await until(all_dead, "every foreign message among the dead letters")
        assert sorted(message.body for message in dead) == sorted(bodies)
        assert all(message.headers["x-reason"] for message in dead)
        unrouted: list[str] = []

        async def is_kept() -> bool:
            messages = await messages_of(broker.url, "drain.unrouted")
            unrouted.extend(msgspec.json.decode(message.body)["pod"]["name"] for message in messages)
            return "elsewhere" in unrouted

        await until(is_kept, "the command for an unknown region among the unrouted")


async def test_a_worker_that_is_killed_loses_nothing(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE, roles=APART) as running:
        watch, work = running.processes
        pods = [await serving(cluster, eureka_pair, namespace, f"killed{number}") for number in range(4)]
        for pod in pods:
            await cluster.client.delete("pods", pod.timeline.name, namespace)
            await asyncio.sleep(0.05)
            await work.kill()
            await watch.kill()
            await watch.start()
            await work.start()
        for pod in pods:
            name = pod.timeline.name
            await shown_everywhere(eureka_pair, name, f"{pod.timeline.ip}:{name}:8080", None)
            assert "out_of_service" in running.log.outcomes(name)


async def test_a_deleted_event_log_keeps_nothing_in_service_and_is_there_again(
    tmp_path: Path, cluster: Cluster, empty_broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    broker = empty_broker
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE, roles=APART) as running:
        pods = {name: await serving(cluster, eureka_pair, namespace, name) for name in ("before", "at-once", "later")}
        assert "WARNING" not in running.output(), "a first start is no trouble"
        await cluster.client.delete("pods", "before", namespace)
        await running.log.wait_for("before", "removed")
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel()
            for stream in ("drain.events", "drain.positions", "drain.ends"):
                await channel.queue_delete(stream)
        await cluster.client.delete("pods", "at-once", namespace)
        await shown_everywhere(eureka_pair, "at-once", f"{pods['at-once'].timeline.ip}:at-once:8080", None)

        async def is_there() -> bool:
            async with await aio_pika.connect(broker.url) as connection:
                channel = await connection.channel()
                try:
                    await channel.declare_queue("drain.events", passive=True)
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    return False
                return True

        await until(is_there, "the stream", timeout=15)
        await until(running.processes[1].is_ready, "ready again", timeout=15)
        async with event_log(broker.url, running.region) as log:
            await cluster.client.delete("pods", "later", namespace)
            await log.wait_for("later", "removed")
            assert {"requested", "out_of_service", "removed"} <= {*log.outcomes("at-once")}


async def test_a_log_declared_anew_by_another_is_followed_from_its_beginning(
    tmp_path: Path, cluster: Cluster, empty_broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    # Without removal a drain looks no more at an id that names its pod: only who follows the log gives it back.
    settings = {**SETTINGS, "remove": "false"}
    async with (
        product(tmp_path, cluster, empty_broker, eureka_pair, namespace, settings=settings, roles=APART),
        street(cluster, eureka_pair, namespace) as place,
    ):
        for number in range(2):
            one = Takeover(place, Kind.stateful, f"anew-{number}-{place.mark}", QUICK, random.Random(number))
            try:
                await one.begin()
                await one.drain(outright=False)
                await one.succeed()
                await one.be_up()
                await one.wait_for("UP")
            finally:
                await one.stop()
            if number == 0:
                await _declare_log_anew(empty_broker)


async def _declare_log_anew(broker: RabbitMq) -> None:
    """Before anybody else can."""
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        for stream in streams(BrokerSettings().events_kept):
            await channel.queue_delete(stream.name)
            await declare_one(stream, channel)
