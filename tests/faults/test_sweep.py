"""Pods that went while nothing watched: one pass names them all and nothing else, and drains them when it may."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from controller.app.assembly import event_log as follow_log
from controller.app.assembly import read_log
from controller.domain.sweep_report import LatestSweeps, SweepReport
from controller.settings import Settings
from controller.signals import beside
from tests.e2e.product import APART, product
from tests.faults.population import Population
from tests.faults.sampling import Sampler
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until

CROWD = 50 if os.environ.get("FAULTS") == "all" else 12
LIVING = 5
OURS = ("GONE", "GHOST", "ELSEWHERE", "LISTED")


async def sweep(
    cluster: Cluster, broker: RabbitMq, eureka: EurekaNodes, region: str, *arguments: str, settings: dict[str, str]
) -> tuple[int, list[list[str]], str]:
    """Run one pass; its status, the rows of its table, and its stderr."""
    given = {"watch.cluster": region, "retention": "3s", "log.format": "text", **settings}
    env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "EUREKA_DRAIN_BROKER__URL": broker.url}
    env[f"EUREKA_DRAIN_REGIONS__{region.upper().replace('-', '_')}__NODES"] = ",".join(eureka.urls)
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "controller", *words, "sweep", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    lines = output.decode().splitlines()
    assert "Traceback" not in errors.decode()
    # Other tests of this run may have left theirs in the registry.
    rows = [line.split() for line in lines[1:] if line.split()[1] in OURS]
    return process.returncode, rows, errors.decode()


async def test_only_what_died_while_nobody_watched_is_named_and_drained(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    pods = Population(cluster, eureka_pair, namespace, renewal_seconds=1, lease_seconds=3600)
    network = str(cluster.node.network)
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, roles=APART) as running:
        try:
            crowd = await pods.add_crowd(CROWD, "gone")
            living = [await pods.add(f"alive-{number}", "gone") for number in range(LIVING)]
            ghost = await pods.add("ghost", "ghost")
            # Somebody else's: silent, and at an address that is none of this cluster's.
            stranger = ("elsewhere", "10.99.0.1:elsewhere:8080")
            first = eureka_pair.nodes[0].registry
            await first.register(*stranger, ip="10.99.0.1", renewal_seconds=1, lease_seconds=3600)
            for process in running.processes:
                await process.stop()
            await asyncio.gather(*(pods.delete(subject, outright=True) for subject in crowd))
            await until(lambda: all(subject.ended for subject in crowd), "the crowd's end", timeout=120)
            haunting = asyncio.create_task(_haunt(eureka_pair, ghost.app, ghost.instance_id))
            await pods.delete(ghost, outright=True)

            arguments = (cluster, broker, eureka_pair, running.region)
            dead = sorted(subject.instance_id for subject in crowd)
            status, rows, printed = await sweep(
                *arguments, "--dry-run", settings={"sweep.pod_cidrs": network, "sweep.policy": "drain"}
            )
            assert status == 0, printed
            certain = [row for row in rows if "doubt" not in row and "silent" in row]
            assert sorted(row[2] for row in certain) == dead
            doubtful = [row[2] for row in rows if row not in certain]
            assert doubtful == [ghost.instance_id], "the process without a pod is shown, and not counted"
            for subject in crowd:
                statuses = await eureka_pair.statuses(subject.app, subject.instance_id)
                assert statuses == ["UP", "UP"], "a dry run changes nothing"
            assert running.log.events == [], "a dry run writes nothing"

            sampler = Sampler(eureka_pair, lambda _: living)
            async with sampler.running():
                status, rows, printed = await sweep(
                    *arguments, settings={"sweep.pod_cidrs": network, "sweep.policy": "drain"}
                )
                assert status == 0, printed
                await running.processes[1].start()

                async def all_out() -> bool:
                    shown = [await eureka_pair.statuses(one.app, one.instance_id) for one in crowd]
                    return all(status in (None, "OUT_OF_SERVICE") for statuses in shown for status in statuses)

                await until(all_out, "the crowd out of service or gone", timeout=60)
                await sampler.next_round()
            assert [harm for one in living for harm in sampler.course(one).harm] == []
            assert await eureka_pair.statuses(ghost.app, ghost.instance_id) == ["UP", "UP"]
            assert await first.get(*stranger) is not None
            reported = {event["instance_id"] for event in running.log.events if event["app"] in OURS}
            assert reported == set(dead)
            assert {event["requested_by"] for event in running.log.events} == {"sweep"}
            haunting.cancel()
            [recorded] = await recorded_sweeps(broker, running.region)
            named = sorted(one.instance_id for one in recorded.findings if one.app in OURS and not one.doubt)
            assert (named, recorded.drained, recorded.incomplete) == (dead, True, "")
        finally:
            await pods.close()


async def recorded_sweeps(broker: RabbitMq, cluster: str) -> list[SweepReport]:
    """The newest passes that the event log holds of this cluster, as ``ops`` reads them."""
    sweeps = LatestSweeps()
    settings = Settings.model_validate({"broker": {"url": broker.url}})
    log = follow_log(settings, look_back=timedelta(hours=1), on_sweep=sweeps.apply)
    async with beside(log.link.run):
        await read_log(log)
    return [one for one in sweeps.all() if one.cluster == cluster]


async def _haunt(eureka: EurekaNodes, app: str, instance_id: str) -> None:
    """Go on renewing without a pod."""
    while True:
        await eureka.nodes[0].registry.heartbeat(app, instance_id)
        await asyncio.sleep(1)


async def test_a_list_that_fails_is_never_taken_for_no_pods(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    pods = Population(cluster, eureka_pair, namespace)
    try:
        subject = await pods.add("listed", "listed")
        kubeconfig = tmp_path / "nobody.kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig.read_text().replace("token:", "token: wrong-"))
        stranger = _Elsewhere(kubeconfig)
        status, rows, printed = await sweep(
            stranger,  # type: ignore[arg-type]
            broker,
            eureka_pair,
            "eu-nobody",
            settings={"sweep.pod_cidrs": str(cluster.node.network), "sweep.policy": "drain"},
        )
        assert (status, rows) == (1, [])
        assert "401" in printed
        second = eureka_pair.nodes[1]
        second.pause()
        try:
            status, rows, printed = await sweep(
                cluster, broker, eureka_pair, "eu-nobody", settings={"sweep.pod_cidrs": str(cluster.node.network)}
            )
        finally:
            second.resume()
        assert (status, rows) == (1, [])
        assert second.url in printed
        assert await eureka_pair.statuses(subject.app, subject.instance_id) == ["UP", "UP"]
    finally:
        await pods.close()


class _Elsewhere:
    """A cluster that we have no right to see."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
