"""Whose it is: ids that replicas share, addresses that are used again, and overrides that a person has set."""

from __future__ import annotations

import asyncio

from controller.domain.ownership import END_TOLERANCE
from tests.e2e.case_scene import RENEWAL_SECONDS, Case
from tests.stack.eureka_client import Client
from tests.stack.observing import end_of
from tests.stack.pod_process import PodProcess
from tests.stack.waiting import until
from tests.stack.workloads import pod_spec, python_service

LOOKED_FOR = 40.0
"""Seconds from the pod's end, and then its instances are not looked for any more."""
COMES_AFTER = 10.0
"""Seconds from the old pod's deletion until the new one registers."""
OUT_FOR = 30.0
STANDS_FOR = END_TOLERANCE.total_seconds() + 2
"""Seconds from what a person sets until the pod is deleted."""
NOTES = {"eureka.drain/retention": "60s"}


async def a_shared_id_is_given_back_while_its_holders_renew_it(case: Case) -> None:
    app, instance_id = "shared", "shared:8080"
    env = {"INSTANCE_ID": instance_id, "HOST_NAME": "shared.shop.svc"}
    service = python_service(app, case.place.eureka.urls, renewal_seconds=RENEWAL_SECONDS, env=env)
    replicas = [await _replica(case, f"shared-7cd9c4fbcc-{n}lttw", app, service) for n in range(3)]
    await case.known(instance_id)
    youngest = replicas[-1]
    await case.cluster.client.delete("pods", youngest.name, youngest.namespace)
    await case.running.log.wait_for(youngest.name, "out_of_service")
    await end_of(youngest.timeline)
    event = await case.running.log.wait_for(youngest.name, "restored", timeout=75)
    assert event["reason"]["code"] == "shared_id"
    await case.shown(app, instance_id, lambda sample: sample.serves, "UP at every node")
    async with case.never(app, instance_id, lambda sample: sample.spoiled):
        await asyncio.sleep(5)


async def _replica(case: Case, name: str, app: str, service: dict[str, object]) -> PodProcess:
    body = {"metadata": {"name": name, "labels": {"app": app}}, "spec": pod_spec(service)}
    created = await case.cluster.client.create("pods", body, case.place.namespace)
    pods, uid = case.cluster.node.pods, created["metadata"]["uid"]
    await until(lambda: uid in pods and pods[uid].timeline.ready, f"{name} ready", timeout=60)
    return pods[uid]


async def a_watched_pod_at_an_address_that_is_looked_for_is_never_out(case: Case) -> None:
    await _use_address_again(case, "again", case.place.namespace)


async def an_unwatched_pod_at_an_address_that_is_looked_for_is_never_out(case: Case) -> None:
    await _use_address_again(case, "again-unwatched", case.other_namespace)


async def _use_address_again(case: Case, app: str, namespace: str) -> None:
    old = await case.place.pod(app, {})
    deleted = asyncio.create_task(asyncio.sleep(COMES_AFTER))
    await case.delete(old)
    await case.gone(old)
    new = await case.place.pod(f"{app}-new", {}, ip=old.ip, namespace=namespace)
    await deleted
    # Nothing distinguishes it from the old one's but when it came.
    instance_id = f"{old.ip}:{app}:8080"
    await case.client(new, instance_id, app=app, host=old.ip).say("UP")
    async with case.never(app, instance_id, lambda sample: sample.is_held):
        await asyncio.sleep(LOOKED_FOR)
        assert not {"out_of_service", "removed", "failed"} & {*case.running.log.outcomes(app)}


async def what_a_person_took_out_is_left_out_when_its_pod_is_replaced(case: Case) -> None:
    await _replace_what_was_set(case, "kept", "OUT_OF_SERVICE")


async def what_a_person_set_down_is_left_down_when_its_pod_is_replaced(case: Case) -> None:
    await _replace_what_was_set(case, "kept-down", "DOWN")


async def _replace_what_was_set(case: Case, app: str, status: str) -> None:
    old = await case.place.pod(f"{app}-0", NOTES)
    client = await case.registered(old, app=app)
    own = client.registration
    await _set_everywhere(case, client, status)
    async with case.never(own.app, own.instance_id, lambda sample: sample.served):
        await asyncio.sleep(STANDS_FOR)
        await case.delete(old, client)
        event = await case.running.log.wait_for(old.name, "out_of_service")
        assert event["reason"]["code"] == "already_out"
        await case.gone(old)
        await _say_up(case.client(await case.place.pod(old.name, NOTES), app=app))
        await asyncio.sleep(OUT_FOR)
    assert {*(await case.place.look(own.app, own.instance_id)).seen} == {f"{status}, override {status}"}
    assert "restored" not in case.running.log.outcomes(old.name)


async def what_a_hook_set_down_is_up_again_for_the_next_pod(case: Case) -> None:
    await _replace_what_its_hook_set(case, "hooked-down", "DOWN")


async def what_a_hook_took_out_first_serves_again_for_the_next_pod(case: Case) -> None:
    await _replace_what_its_hook_set(case, "hooked", "OUT_OF_SERVICE")


async def _replace_what_its_hook_set(case: Case, app: str, status: str) -> None:
    old = await case.place.pod(f"{app}-0", NOTES)
    client = await case.registered(old, app=app)
    own = client.registration
    async with asyncio.TaskGroup() as group:
        group.create_task(case.delete(old, client))
        group.create_task(_set_everywhere(case, client, status))
    await case.running.log.wait_for(old.name, "out_of_service")
    await case.gone(old)
    await _say_up(case.client(await case.place.pod(old.name, NOTES), app=app))
    await case.shown(own.app, own.instance_id, lambda sample: sample.serves, "UP at every node")
    await case.running.log.wait_for(old.name, "restored")


async def _set_everywhere(case: Case, client: Client, status: str) -> None:
    own = client.registration
    await asyncio.gather(*(node.put_status(own.app, own.instance_id, status) for node in case.place.nodes))


async def _say_up(client: Client) -> None:
    await client.say("STARTING")
    await asyncio.sleep(1)
    await client.say("UP")


LOOK_ALIKES = (
    a_shared_id_is_given_back_while_its_holders_renew_it,
    a_watched_pod_at_an_address_that_is_looked_for_is_never_out,
    an_unwatched_pod_at_an_address_that_is_looked_for_is_never_out,
    what_a_person_took_out_is_left_out_when_its_pod_is_replaced,
    what_a_person_set_down_is_left_down_when_its_pod_is_replaced,
    what_a_hook_set_down_is_up_again_for_the_next_pod,
    what_a_hook_took_out_first_serves_again_for_the_next_pod,
)
