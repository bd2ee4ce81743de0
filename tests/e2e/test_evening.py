"""An operator's evening: a region is away, drains wait and report it, a replay, dead letters, and two pods by hand."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_asyncio

from controller.ops.answers import DrainAnswer
from tests.e2e.event_log import EventLog, event_log
from tests.e2e.operator import Operator, queue_lengths
from tests.faults.canary import Canary, Front, Mood
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNode, EurekaNodes
from tests.stack.node import IP_ANNOTATION
from tests.stack.observing import running_pod, shown_everywhere
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq
from tests.stack.stack import Stack
from tests.stack.waiting import until
from tests.stack.workloads import container, pod_spec

UP = ["UP", "UP"]
OUT = ["OUT_OF_SERVICE", "OUT_OF_SERVICE"]


class Evening:
    """The product with its regions, an operator beside it, and pods that are registered and say nothing more."""

    def __init__(
        self,
        cluster: Cluster,
        broker: RabbitMq,
        namespace: str,
        regions: Mapping[str, Sequence[str]],
        *,
        last_instance: bool = True,
    ) -> None:
        self.cluster = cluster
        self.broker = broker
        self.namespace = namespace
        self.settings = {
            "watch.namespaces": namespace,
            "watch.cluster": namespace,
            "instance_id_templates": "{ip}:{app}:{port}",
            "retry.max_backoff": "2s",
            # What is out of service stays as it is, so that a person can put it back.
            "remove": "false",
            "guard.last_instance": str(last_instance).lower(),
        }
        self.regions = regions
        self.operator = Operator(cluster, broker, regions, self.settings)
        self.ours = ("--namespace", namespace)
        """Other tests of this run may have told the same log of theirs."""
        self.logs: dict[str, EventLog] = {}
        self.beating: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[None]:
        """Run the product; at the end it must stop by itself, without a traceback."""
        process = ControllerProcess(
            "run",
            log=folder / "run.log",
            broker=self.broker.url,
            regions=self.regions,
            kubeconfig=self.cluster.kubeconfig,
            settings=self.settings,
        )
        async with AsyncExitStack() as ended:
            ended.push_async_callback(process.stop)
            await process.start()
            for region in self.regions:
                self.logs[region] = await ended.enter_async_context(event_log(self.broker.url, region))
            yield
            for task in self.beating:
                task.cancel()
            await asyncio.gather(*self.beating, return_exceptions=True)
        text = process.log.read_text()
        assert process.returncode == 0, text[-2_000:]
        assert "Traceback" not in text

    async def pod(
        self, name: str, app: str, region: str, nodes: Sequence[EurekaNode], *, ip: str = "", beats: bool = False
    ) -> str:
        """A pod that serves one region and is registered at its nodes; its instance id."""
        annotations = {"eureka.drain/app": app, "eureka.drain/port": "8080", "eureka.drain/region": region}
        annotations |= {IP_ANNOTATION: ip} if ip else {}
        spec = pod_spec(container(), grace_seconds=1)
        process = await running_pod(self.cluster, self.namespace, name, spec, annotations=annotations)
        address = process.timeline.ip
        assert address
        instance_id = f"{address}:{app}:8080"
        for node in nodes:
            await node.registry.register(app, instance_id, ip=address, renewal_seconds=1, lease_seconds=3_600)
        if beats:
            self.beating.add(asyncio.create_task(_beat(nodes, app, instance_id)))
        return instance_id

    async def delete(self, *names: str) -> None:
        for name in names:
            await self.cluster.client.delete("pods", name, self.namespace)

    async def drains(self, *words: str) -> list[dict[str, Any]]:
        return (await self.operator.run("drains", "-o", "json", *self.ours, *words)).objects

    async def drain_of(self, pod: str) -> dict[str, Any]:
        [found] = await self.drains("--pod", f"{self.namespace}/{pod}")
        return found


async def _beat(nodes: Sequence[EurekaNode], app: str, instance_id: str) -> None:
    while True:
        await asyncio.sleep(1)
        for node in nodes:
            await node.registry.heartbeat(app, instance_id)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def near(report_progress: ReportProgress) -> AsyncIterator[EurekaNodes]:
    """A region of its own, which does not cache its answers: nobody has to wait for them."""
    settings = {"eureka.server.use-read-only-response-cache": "false"}
    async with Stack(regions={"near": 2}, eureka_settings=settings, report_progress=report_progress) as stack:
        yield stack.eureka["near"]


def fresh(name: str) -> str:
    return f"{name}-{secrets.token_hex(3)}"


async def held(app: str, ids: Iterable[str], *nodes: EurekaNode) -> list[str]:
    """What the nodes' registries hold of these, past what changes by itself."""
    found = [await node.registry.get(app, instance_id) for node in nodes for instance_id in sorted(ids)]
    shown = [one and {key: value for key, value in one.items() if key != "leaseInfo"} for one in found]
    return [json.dumps(one, sort_keys=True) for one in shown]


async def test_drains_of_an_absent_region_wait_and_a_replay_redoes_the_undone(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, near: EurekaNodes, namespace: str
) -> None:
    far, close, pay, cart = fresh("far"), fresh("near"), fresh("pay"), fresh("cart")
    # Stock nodes show a young instance after 30 s only: until then its elders seem to be the last ones.
    regions = {far: eureka_pair.urls, close: near.urls}
    evening = Evening(cluster, broker, namespace, regions, last_instance=False)
    async with evening.running(tmp_path):
        ids = {name: await evening.pod(name, pay, far, eureka_pair.nodes) for name in ("f0", "f1", "f2", "witness")}
        ids["n0"] = await evening.pod("n0", cart, close, near.nodes)
        assert (await evening.operator.run("drains", *evening.ours)).data == ""

        for node in eureka_pair.nodes:
            node.pause()
        try:
            await evening.delete("f0", "f1", "f2", "n0")
            await evening.logs[close].wait_for("n0", "out_of_service", timeout=20)

            async def all_say_why() -> list[dict[str, Any]] | None:
                found = await evening.drains("--state", "retrying")
                return found if len(found) == 3 and all(one["reason"] for one in found) else None

            pending = await until(all_say_why, "three drains that wait and say why", timeout=60)
            assert {one["pod"] for one in pending} == {"f0", "f1", "f2"}
            for one in pending:
                assert set(one) == set(DrainAnswer.__struct_encode_fields__)
                assert (one["region"], one["state"], one["cause"]) == (far, "retrying", "terminating")
                assert one["reason_code"] == "unreachable"
                assert "no answer in time" in one["reason"]
                assert one["out_of_service_at"] is one["seconds_to_out_of_service"] is None
            said = await evening.operator.run("drains", *evening.ours, "--state", "retrying")
            assert len(said.rows) == 3
            assert said.data.startswith("WHEN ")
            assert "no answer in time" in said.row(f"{namespace}/f0")
            assert said.messages == ""
            [other] = await evening.drains("--region", close)
            assert (other["pod"], other["state"], other["reason_code"]) == ("n0", "out_of_service", None)
            assert other["seconds_to_out_of_service"] is not None
        finally:
            for node in eureka_pair.nodes:
                node.resume()
        for name in ("f0", "f1", "f2"):
            await evening.logs[far].wait_for(name, "out_of_service")
            assert await eureka_pair.statuses(pay, ids[name]) == OUT
        assert {one["state"] for one in await evening.drains("--app", pay)} == {"out_of_service"}
        said = await evening.operator.run("drains", *evening.ours, "--state", "retrying")
        assert said.data == ""
        assert "no drains" in said.messages

        # f0 is put back in service by hand; f1 and n0 are deleted, and f1's address and id go to a newer pod.
        await asyncio.gather(*(node.registry.delete_status(pay, ids["f0"], "UP") for node in eureka_pair.nodes))
        await until(lambda: cluster.node.timeline("f1", namespace).deleted_at, "the end of f1")
        await asyncio.gather(*(node.registry.delete(pay, ids["f1"]) for node in eureka_pair.nodes))
        await shown_everywhere(eureka_pair, pay, ids["f1"], None)
        heir = await evening.pod("heir", pay, far, eureka_pair.nodes, ip=ids["f1"].partition(":")[0], beats=True)
        assert heir == ids["f1"]
        await shown_everywhere(eureka_pair, pay, heir, "UP")
        await asyncio.gather(*(node.registry.delete(cart, ids["n0"]) for node in near.nodes))
        await shown_everywhere(near, cart, ids["n0"], None)
        await _replayed(evening, eureka_pair, near, pay, ids)
        await _told(evening, far)


def _differences(before: str, after: str) -> dict[str, Any]:
    old, new = json.loads(before) or {}, json.loads(after) or {}
    return {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


async def _replayed(
    evening: Evening, eureka_pair: EurekaNodes, near: EurekaNodes, pay: str, ids: Mapping[str, str]
) -> None:
    regions = tuple(evening.regions)

    async def world() -> tuple[list[str], dict[str, int], dict[str, int]]:
        told = {region: len(log.events) for region, log in evening.logs.items()}
        nodes = (*eureka_pair.nodes, *near.nodes)
        return await held(pay, ids.values(), *nodes), await queue_lengths(evening.broker, regions), told

    async def at_rest() -> bool:
        lengths = await queue_lengths(evening.broker, regions)
        return not any(count for name, count in lengths.items() if not name.startswith("drain.unrouted"))

    await until(at_rest, "nothing under way", timeout=60)

    async def holds_still() -> bool:
        # A registration is told to the peer half a second later, and noted there anew.
        seen = await world()
        await asyncio.sleep(2)
        return await world() == seen

    await until(holds_still, "registries that hold still", timeout=60)
    before = await world()
    planned = await evening.operator.run("replay", *evening.ours, "--since", "30m")
    after = await world()
    moved = [_differences(*pair) for pair in zip(before[0], after[0], strict=True) if pair[0] != pair[1]]
    assert moved == [], "a plan changes nothing in a registry"
    assert after[1:] == before[1:], "nor in a queue, nor in the event log"
    assert "would drain" in planned.row("/f0")
    assert "newer process" in planned.row("/f1")
    assert "already out of service" in planned.row("/f2")
    assert "already gone" in planned.row("/n0")
    assert len(planned.rows) == 4
    assert "--yes executes" in planned.messages
    assert "4 planned" in planned.messages

    done = await evening.operator.run("replay", *evening.ours, "--since", "30m", "--yes", "--reason", "INC-4711")
    assert "1 of 1 sent" in done.messages
    assert "outcomes: 1 out_of_service; 0 without one yet" in done.messages
    assert await eureka_pair.statuses(pay, ids["f0"]) == OUT
    assert await eureka_pair.statuses(pay, ids["f1"]) == UP, "a newer process was taken out"
    assert await eureka_pair.statuses(pay, ids["f2"]) == OUT
    assert await eureka_pair.statuses(pay, ids["witness"]) == UP
    again = await evening.operator.run("replay", *evening.ours, "--since", "30m", "--yes")
    assert "sent in" not in again.messages
    one = await evening.drain_of("f0")
    assert (one["state"], one["requested_why"]) == ("out_of_service", "INC-4711")
    assert one["requested_by"]
    nothing = await evening.operator.run("replay", "--pod", "nobody/nothing", "--yes")
    assert (nothing.data, "no drain fits" in nothing.messages) == ("", True)


async def _told(evening: Evening, far: str) -> None:
    drain_id = (await evening.drain_of("f0"))["drain_id"]
    shown = await evening.operator.run("show", drain_id)
    timeline_text = shown.data.partition("WHAT")[2]
    order = [timeline_text.index(words) for words in ("pod began to go", "no answer in time", "INC-4711")]
    assert order == sorted(order)
    for words in ("published", f"by a worker of region {far}", "out_of_service", "asked for by", "localhost:"):
        assert words in shown.data
    assert shown.messages == ""
    [whole] = (await evening.operator.run("show", drain_id, "-o", "json")).objects
    assert set(whole) == {*DrainAnswer.__struct_encode_fields__, "timeline", "left_out"}
    assert [one["at"] for one in whole["timeline"]] == sorted(one["at"] for one in whole["timeline"])
    missing = await evening.operator.run("show", "nosuchdrain", expect=1)
    assert (missing.data, "nosuchdrain" in missing.messages) == ("", True)


async def test_what_was_given_up_is_listed_and_then_sent_again_or_dropped(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, near: EurekaNodes, namespace: str
) -> None:
    region, bill = fresh("eu"), fresh("bill")
    canary = Canary("a node's password")
    async with AsyncExitStack() as opened:
        fronts = [await opened.enter_async_context(Front(url, canary)) for url in near.urls]
        evening = Evening(cluster, broker, namespace, {region: [canary.within(front.url) for front in fronts]})
        await opened.enter_async_context(evening.running(tmp_path))
        ids = {name: await evening.pod(name, bill, region, near.nodes) for name in ("mend", "drop", "witness")}
        assert "no dead letters" in (await evening.operator.run("dead")).messages

        async def witnessed() -> bool:
            apps = [await node.registry.apps() for node in near.nodes]
            return all(len(each.get(bill.upper(), ())) == 3 for each in apps)

        await until(witnessed, "all in the nodes' response caches", timeout=60, interval=0.5)
        fronts[1].mood = Mood.denying
        await evening.delete("mend", "drop")
        for name in ("mend", "drop"):
            failed = await evening.logs[region].wait_for(name, "failed")
            assert failed["reason"]["code"] == "denied"
            assert "401" in failed["reason"]["detail"]

        async def both_dead() -> bool:
            return len((await evening.operator.run("dead", "-o", "json")).objects) == 2

        await until(both_dead, "two dead letters")
        assert len(await evening.drains("--state", "failed")) == 2
        said = await evening.operator.run("dead", "list", "--region", region)
        assert "401" in said.row(f"{namespace}/mend")
        assert f"2 dead letters of 2 drains: 2 {region}" in said.messages
        [letter] = (await evening.operator.run("dead", "-o", "json", "--pod", f"{namespace}/mend")).objects
        assert (letter["region"], letter["pod"], letter["apps"], letter["problem"]) == (
            region,
            "mend",
            [bill.upper()],
            "",
        )
        planned = await evening.operator.run("replay", "--dead")
        assert "would drain" in planned.row("/mend")
        assert len((await evening.operator.run("dead", "-o", "json")).objects) == 2, "looked at, and all there"

        fronts[1].mood = Mood.passing
        drain_id = letter["drain_id"]
        said = await evening.operator.run("dead", "requeue", "--id", drain_id, "--reason", "password mended")
        assert (said.data, "1 of 1 sent again" in said.messages) == ("", True)

        async def is_out() -> bool:
            return bool((await evening.drain_of("mend"))["state"] == "out_of_service")

        await until(is_out, "the drain that was sent again to settle")
        assert await near.statuses(bill, ids["mend"]) == OUT
        mended = await evening.drain_of("mend")
        assert mended["requested_why"] == "password mended"
        assert [one["drain_id"] for one in (await evening.operator.run("dead", "-o", "json")).objects] != [drain_id]

        kept = await evening.operator.run("dead", "drop")
        assert "nothing was dropped" in kept.messages
        assert len(kept.rows) == 1
        dropped = await evening.operator.run("dead", "drop", "--yes", "--reason", "not worth it")
        assert (dropped.data, "1 dropped" in dropped.messages) == ("", True)
        assert "no dead letters" in (await evening.operator.run("dead")).messages
        left = await evening.drain_of("drop")
        assert (left["state"], left["requested_why"]) == ("failed", "not worth it")
        assert left["reason_code"] == "dropped"
        assert "dropped from the dead letters" in left["reason"]

        # What was dropped is still known to the event log; its peer has told the node that denied us.
        done = await evening.operator.run("replay", "--id", left["drain_id"], "--yes")
        assert "already out of service" in done.row("/drop")
        assert await near.statuses(bill, ids["drop"]) == OUT
        assert await near.statuses(bill, ids["witness"]) == UP


async def test_a_living_pod_is_taken_out_and_restored_but_never_the_last_one(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, near: EurekaNodes, namespace: str
) -> None:
    region, hand = fresh("eu"), fresh("hand")
    evening = Evening(cluster, broker, namespace, {region: near.urls})
    async with evening.running(tmp_path):
        ids = {name: await evening.pod(name, hand, region, near.nodes, beats=True) for name in ("l0", "l1")}

        async def known() -> bool:
            apps = [await node.registry.apps() for node in near.nodes]
            return all(len(each.get(hand.upper(), ())) == 2 for each in apps)

        await until(known, "both in the nodes' response caches", timeout=60, interval=0.5)

        async def drained() -> bool:
            # The worker's own copy of the registry is up to 15 s old.
            said = await evening.operator.run("drain", f"{namespace}/l0", "--reason", "leaks", expect=None)
            assert said.status == (0 if "out_of_service" in said.data else 1)
            return said.status == 0

        await until(drained, "l0 taken out by hand", timeout=60, interval=2)
        assert await near.statuses(hand, ids["l0"]) == OUT
        refused = await evening.operator.run("drain", f"{namespace}/l1", expect=1)
        assert "guard.last_instance" in refused.data
        assert await near.statuses(hand, ids["l1"]) == UP
        nothing = await evening.operator.run("restore", f"{namespace}/l1", expect=1)
        assert (nothing.data, "the event log says of no drain" in nothing.messages) == ("", True)
        back = await evening.operator.run("restore", f"{namespace}/l0", "--reason", "leak plugged")
        assert "restored" in back.data
        assert await near.statuses(hand, ids["l0"]) == UP
        states = {one["state"] for one in await evening.drains("--pod", f"{namespace}/l0")}
        assert "restored" in states
        twice = await evening.operator.run("restore", f"{namespace}/l0", expect=1)
        assert "the event log says of no drain" in twice.messages
        missing = await evening.operator.run("drain", f"{namespace}/nobody", expect=1)
        assert (missing.data, "nobody" in missing.messages) == ("", True)
        assert "NAMESPACE/POD" in (await evening.operator.run("drain", "nobody", expect=2)).messages
        assert await near.statuses(hand, ids["l1"]) == UP
