"""Is it there, is it gone: nodes that refuse, hesitate or are away, and a process that registers late."""

from __future__ import annotations

import asyncio
import time

from tests.e2e.case_scene import Case

OUT_TIMEOUT = 5.0
"""Seconds; the promise is one, on a machine that has time for it."""
BOOTS_FOR = 45.0
AWAY_FOR = 45.0
"""Seconds: longer than a pod's instances are looked for after its end."""


async def a_node_that_refuses_leaves_the_slower_one_its_time(case: Case) -> None:
    living, refusing = case.ways["refusing"]
    await living.slow_down(150)
    pods = [await case.place.pod(f"beside-{n}", case.in_region("refusing")) for n in range(3)]
    clients = await asyncio.gather(*(case.registered(one) for one in pods))
    await refusing.close()
    # A hiccup, and it is as before.
    await living.heal()
    await living.slow_down(2_000)
    await asyncio.sleep(3)
    await living.heal()
    await living.slow_down(150)
    await asyncio.sleep(3)
    for one, client in zip(pods, clients, strict=True):
        begun_at = time.monotonic()
        deleting = asyncio.create_task(case.delete(one, client))
        own = client.registration
        await case.shown(
            own.app, own.instance_id, lambda sample: "OUT" in (sample.seen[0] or ""), "out where it can be"
        )
        assert time.monotonic() - begun_at < OUT_TIMEOUT
        await deleting
    await refusing.heal()
    for one in pods:
        await case.running.log.wait_for(one.name, "out_of_service")


async def what_registers_while_its_pod_terminates_goes_out(case: Case) -> None:
    one = await case.place.pod("boots", {"eureka.drain/instance-id": "{hostname}:boots:8080"}, lingers=95)
    await case.cluster.client.delete("pods", one.name, one.namespace)
    await asyncio.sleep(BOOTS_FOR)
    client = case.client(one)
    await client.say("UP")
    await case.shown("boots", client.registration.instance_id, lambda sample: sample.is_out, "out", timeout=25)
    assert "not_registered" not in case.running.log.outcomes("boots")


async def what_only_a_node_that_is_away_holds_is_waited_for(case: Case) -> None:
    one = await case.place.pod("unseen", case.in_region("away"))
    instance_id = await case.registered_at_second(one)
    away = case.ways["away"][1]
    await away.hang()
    await case.delete(one)
    await asyncio.sleep(AWAY_FOR)
    assert "not_registered" not in case.running.log.outcomes("unseen")
    await away.heal()
    event = await case.running.log.wait_for("unseen", "out_of_service")
    assert event["instance_id"] == instance_id


async def a_node_that_takes_its_time_is_waited_for(case: Case) -> None:
    slow = case.ways["slow"][1]
    await slow.slow_down(1_400)
    one = await case.place.pod("slowly", case.in_region("slow"))
    instance_id = await case.registered_at_second(one)
    await case.delete(one)
    event = await case.running.log.wait_for("slowly", "out_of_service", timeout=30)
    assert event["instance_id"] == instance_id


ABSENCES = (
    a_node_that_refuses_leaves_the_slower_one_its_time,
    what_registers_while_its_pod_terminates_goes_out,
    what_only_a_node_that_is_away_holds_is_waited_for,
    a_node_that_takes_its_time_is_waited_for,
)
