"""The node stand-in proved against a real API server: what a kubelet does to a pod, it does, too."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.stack.cluster import Cluster
from tests.stack.node import IP_ANNOTATION
from tests.stack.observing import between, end_of, is_ready, ready_pods, running_pod
from tests.stack.waiting import until
from tests.stack.workloads import container, deployment, job, pod, pod_spec

Object = dict[str, Any]

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "hook", [{"sleep": {"seconds": 2}}, {"exec": {"command": ["sleep", "2"]}}], ids=["sleep", "exec"]
)
async def test_sigterm_comes_after_pre_stop_has_ended(cluster: Cluster, namespace: str, hook: Object) -> None:
    spec = pod_spec(container("sleep", "600", lifecycle={"preStop": hook}))
    one = await running_pod(cluster, namespace, "hooked", spec)
    await cluster.client.delete("pods", "hooked", namespace)
    timeline = await end_of(one.timeline)
    assert 1.9 < between(timeline.pre_stop_started, timeline.pre_stop_ended) < 4
    assert 0 <= between(timeline.pre_stop_ended, timeline.sigterm_at) < 0.5
    assert between(timeline.sigterm_at, timeline.exited_at) < 1
    assert between(timeline.exited_at, timeline.deleted_at) < 5
    assert timeline.pre_stop_failure is None


@pytest_asyncio.fixture(loop_scope="session")
async def hook_server() -> AsyncIterator[tuple[int, list[str]]]:
    """Answers with the status that the path says, and notes who asked."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=int(request.match_info["status"]))

    application = web.Application()
    application.router.add_get("/{status}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1], seen
    await runner.cleanup()


@pytest.mark.parametrize(("status", "succeeds"), [(200, True), (302, True), (404, False), (503, False)])
async def test_an_http_pre_stop_succeeds_from_200_to_399_and_sigterm_follows(
    cluster: Cluster, namespace: str, hook_server: tuple[int, list[str]], status: int, succeeds: bool
) -> None:
    port, seen = hook_server
    hook = {"httpGet": {"host": "127.0.0.1", "port": port, "path": f"/{status}"}}
    one = await running_pod(
        cluster, namespace, "calls", pod_spec(container("sleep", "600", lifecycle={"preStop": hook}))
    )
    await cluster.client.delete("pods", "calls", namespace)
    timeline = await end_of(one.timeline)
    assert seen == [f"/{status}"]
    assert (timeline.pre_stop_failure is None) == succeeds
    assert timeline.sigterm_at is not None


STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 0.2; done")


async def test_a_process_that_ignores_sigterm_is_killed_at_the_deadline(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "stubborn", pod_spec(container(*STUBBORN), grace_seconds=3))
    await cluster.client.delete("pods", "stubborn", namespace)
    timeline = await end_of(one.timeline)
    assert 2.9 < between(timeline.deletion_seen, timeline.sigkill_at) < 4
    assert one.containers[0].state.exit_code == 137


async def test_the_grace_cuts_pre_stop_off_and_sigterm_still_has_two_seconds(cluster: Cluster, namespace: str) -> None:
    hooked = container(*STUBBORN, lifecycle={"preStop": {"sleep": {"seconds": 3}}})
    late = container(*STUBBORN, name="late", lifecycle={"preStop": {"exec": {"command": ["sleep", "60"]}}})
    one = await running_pod(cluster, namespace, "late", pod_spec(hooked, late, grace_seconds=3))
    await cluster.client.delete("pods", "late", namespace)
    timeline = await end_of(one.timeline)
    assert 2.9 < between(timeline.deletion_seen, timeline.sigterm_at) < 4
    assert 1.9 < between(timeline.sigterm_at, timeline.sigkill_at) < 3
    assert timeline.pre_stop_failure == "took longer than 3 s"


async def test_a_shorter_grace_counts_while_the_pod_is_terminating(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "shortened", pod_spec(container(*STUBBORN), grace_seconds=600))
    await cluster.client.delete("pods", "shortened", namespace)
    await until(lambda: one.timeline.sigterm_at, "SIGTERM")
    await cluster.client.delete("pods", "shortened", namespace, grace_seconds=2)
    timeline = await end_of(one.timeline)
    assert between(timeline.sigterm_at, timeline.sigkill_at) < 10


async def test_a_pod_deleted_with_grace_0_is_killed_without_pre_stop(cluster: Cluster, namespace: str) -> None:
    spec = pod_spec(container("sleep", "600", lifecycle={"preStop": {"sleep": {"seconds": 20}}}))
    one = await running_pod(cluster, namespace, "forced", spec)
    await cluster.client.delete("pods", "forced", namespace, grace_seconds=0)
    timeline = await end_of(one.timeline)
    await until(lambda: timeline.exited_at, "killed")
    assert timeline.pre_stop_started is None
    assert timeline.sigterm_at is None
    assert timeline.sigkill_at is not None


async def test_on_a_lost_node_processes_outlive_a_forced_deletion(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "orphan", pod_spec(container("sleep", "600")))
    cluster.node.orphan_on_force_delete = True
    try:
        await cluster.client.delete("pods", "orphan", namespace, grace_seconds=0)
        await end_of(one.timeline)
    finally:
        cluster.node.orphan_on_force_delete = False
    assert one.containers[0].program.running
    await one.kill()


async def test_a_node_that_comes_back_makes_up_for_a_deletion_it_missed(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "missed", pod_spec(container("sleep", "600")))
    cluster.node.disconnect()
    try:
        await cluster.client.delete("pods", "missed", namespace)
        left = await cluster.client.get("pods", "missed", namespace)
        assert left is not None
        assert "deletionTimestamp" in left["metadata"]
        assert one.timeline.deletion_seen is None
    finally:
        cluster.node.reconnect()
    await end_of(one.timeline)


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_a_pod_that_runs_to_completion_ends_in_the_phase_of_its_exit_code(
    cluster: Cluster, namespace: str, code: int, phase: str
) -> None:
    spec = pod_spec(container("sh", "-c", f"exit {code}"), restart_policy="Never")
    await cluster.client.create("jobs", job("once", spec), namespace)

    async def ended() -> bool:
        pods = await cluster.client.list("pods", namespace, labels="job-name=once")
        return [one["status"]["phase"] for one in pods] == [phase]

    await until(ended, phase)

    async def noticed() -> bool:
        found = await cluster.client.get("jobs", "once", namespace)
        return bool(found and found["status"].get("succeeded" if code == 0 else "failed"))

    await until(noticed, "the job's status")


async def test_an_evicted_pod_fails_and_is_not_deleted(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "evicted", pod_spec(container("sleep", "600")))
    await cluster.node.evict(one.uid)

    async def failed() -> bool:
        found = await cluster.client.get("pods", "evicted", namespace)
        return found is not None and (found["status"]["phase"], found["status"].get("reason")) == ("Failed", "Evicted")

    await until(failed, "phase Failed")
    assert one.timeline.pre_stop_started is None


async def test_a_container_that_ends_is_started_again(cluster: Cluster, namespace: str) -> None:
    command = ("sh", "-c", "test -e again && exec sleep 600; touch again; exit 1")
    await cluster.client.create("pods", pod("flaky", pod_spec(container(*command))), namespace)

    async def restarted() -> bool:
        found = await cluster.client.get("pods", "flaky", namespace)
        return found is not None and is_ready(found) and found["status"]["containerStatuses"][0]["restartCount"] == 1

    await until(restarted, "one restart, then ready")


async def test_variables_and_arguments_are_expanded(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    fields = {"IP": "status.podIP", "NAME": "metadata.name", "SPACE": "metadata.namespace", "UID": "metadata.uid"}
    file = tmp_path / "seen"
    command = ("sh", "-c", f"echo $(ALL) '$$(IP)' '$(NONE)' $HOSTNAME > {file}.part; mv {file}.part {file}; sleep 600")
    spec = pod_spec(container(*command, fields=fields, env={"ALL": "$(IP) $(NAME) $(SPACE) $(UID)"}))
    one = await running_pod(cluster, namespace, "expands", spec)
    await until(file.exists, "output")
    wanted = f"{one.ip} expands {namespace} {one.uid} $(IP) $(NONE) expands\n"
    assert file.read_text() == wanted


async def test_pods_survive_a_restart_of_the_api_server_and_are_followed(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "survivor", pod_spec(container("sleep", "600")))
    await cluster.api.apiserver.restart()
    assert one.containers[0].program.running
    two = await running_pod(cluster, namespace, "newcomer", pod_spec(container()))
    for name in ("survivor", "newcomer"):
        await cluster.client.delete("pods", name, namespace)
    await end_of(one.timeline)
    await end_of(two.timeline)


async def test_a_pod_may_be_given_the_address_of_an_earlier_one(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "earlier", pod_spec(container()))
    await cluster.client.delete("pods", "earlier", namespace, grace_seconds=0)
    await end_of(one.timeline)
    two = await running_pod(cluster, namespace, "later", pod_spec(container()), annotations={IP_ANNOTATION: one.ip})
    found = await cluster.client.get("pods", "later", namespace)
    assert found is not None
    assert found["status"]["podIP"] == two.ip == one.ip


async def test_a_pod_may_have_an_address_of_either_family(cluster: Cluster, namespace: str) -> None:
    addresses = "fd00:10::7,10.1.0.7"
    one = await running_pod(cluster, namespace, "dual", pod_spec(container()), annotations={IP_ANNOTATION: addresses})
    found = await cluster.client.get("pods", "dual", namespace)
    assert found is not None
    assert found["status"]["podIP"] == one.ip == "fd00:10::7"
    assert [each["ip"] for each in found["status"]["podIPs"]] == ["fd00:10::7", "10.1.0.7"]


async def test_an_evicted_pods_status_may_tell_no_address(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "bare", pod_spec(container()))
    await cluster.node.evict(one.uid, bare=True)

    async def look() -> Object | None:
        found = await cluster.client.get("pods", "bare", namespace)
        return found["status"] if found and found["status"]["phase"] == "Failed" else None

    status = await until(look, "the eviction")
    assert not {"podIP", "podIPs", "hostIP", "containerStatuses"} & {*status}


async def test_a_pod_on_the_hosts_network_has_the_nodes_address(cluster: Cluster, namespace: str) -> None:
    one = await running_pod(cluster, namespace, "host", pod_spec(container(), host_network=True))
    assert one.ip == cluster.node.ip


async def test_a_hundred_idle_pods_start_and_end_quickly(cluster: Cluster, namespace: str) -> None:
    await cluster.client.create("deployments", deployment("many", pod_spec(container()), replicas=100), namespace)
    await ready_pods(cluster, namespace, "many", 100)
    await cluster.kubectl("-n", namespace, "scale", "deployment/many", "--replicas=0")
    await ready_pods(cluster, namespace, "many", 0)
