"""Reading, taking out and deleting: what a region of two nodes promises to the flows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.domain.instances import OUT_OF_SERVICE, UP, Condition, Instance, Readings, present
from tests.contract.regions import IP, RegionUnderTest, clock, fresh_app
from tests.stack.waiting import until
from tests.unit.building import a_pod


def id_of(app: str) -> str:
    """An id that no other test uses: an override that one of them left would hit it in any app."""
    return f"host-1:{app}:8080"


def conditions(readings: Readings) -> list[Condition]:
    return [reading.condition for reading in readings]


def shown(readings: Readings) -> list[tuple[Condition, str, str]]:
    """Return each node's condition with the status and the override that it shows."""
    return [(one.condition, one.instance.status, one.instance.override) for one in readings if one.instance]


async def everywhere(region: RegionUnderTest, app: str, condition: Condition) -> None:
    """Wait until every node is in this condition."""

    async def look() -> bool:
        return set(conditions(await region.port.read(app, id_of(app)))) == {condition}

    await until(look, f"{app} {condition} everywhere", timeout=10)


async def test_an_instance_is_read_at_every_node_with_all_that_a_drain_compares(region: RegionUnderTest) -> None:
    app = fresh_app()
    before = clock()
    await region.register_everywhere(app.lower(), id_of(app))
    readings = await region.port.read(app, id_of(app))
    assert [reading.node for reading in readings] == region.urls
    for reading in readings:
        instance = reading.instance
        assert reading.condition is Condition.in_service
        assert instance is not None
        assert (instance.app, instance.id, instance.ip, instance.host_name) == (app, id_of(app), IP, "host-1")
        assert (instance.port, instance.status, instance.override) == (8080, "UP", "UNKNOWN")
        assert instance.renewal_interval == timedelta(seconds=30)
        assert instance.registered_at is not None
        assert before - timedelta(seconds=1) < instance.registered_at <= clock() + timedelta(seconds=1)
        assert instance.renewed_at == instance.registered_at


async def test_a_registration_shows_its_tls_port_its_pod_and_its_own_time(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.nodes[0].registry.register(
        app, id_of(app), ip=IP, port=0, secure_port=8443, metadata={"podUid": "3F1B-2c4d"}
    )

    async def copied() -> Readings | None:
        readings = await region.port.read(app, id_of(app))
        return readings if all(reading.instance for reading in readings) else None

    readings: Any = await until(copied, "a copy at the other node", timeout=10)
    for reading in readings:
        assert (reading.instance.port, reading.instance.secure_port) == (0, 8443)
        assert reading.instance.pod_uid == "3f1b2c4d"
        assert reading.instance.clock_ahead == timedelta(0)
    first, second = (reading.instance.dirty_at for reading in readings)
    assert first == second
    assert abs(first - clock()) < timedelta(seconds=60)


async def test_an_absent_instance_and_an_absent_app_are_absent(region: RegionUnderTest) -> None:
    app = fresh_app()
    assert conditions(await region.port.read(app, id_of(app))) == [Condition.absent] * 2
    await region.register_everywhere(app, id_of(app))
    assert conditions(await region.port.read(app, "another")) == [Condition.absent] * 2


async def test_only_the_named_nodes_are_read(region: RegionUnderTest) -> None:
    (reading,) = await region.port.read(fresh_app(), "id", region.urls[1:])
    assert reading.node == region.urls[1]


async def test_taking_out_sets_the_override_at_every_node_at_once(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    assert await region.take_out(app, id_of(app)) == ()
    everywhere_out = [(Condition.out, OUT_OF_SERVICE, OUT_OF_SERVICE)] * 2
    assert shown(await region.port.read(app, id_of(app))) == everywhere_out


async def test_the_time_of_a_change_stays_while_heartbeats_come(region: RegionUnderTest) -> None:
    app = fresh_app()

    async def changed_at() -> list[Any]:
        await asyncio.sleep(1.5)  # until the peers have what was replicated
        return [one.updated_at for one in present(await region.port.read(app, id_of(app)))]

    await region.register_everywhere(app, id_of(app))
    registered = await changed_at()
    await region.take_out(app, id_of(app))
    out = await changed_at()
    assert all(later > earlier for later, earlier in zip(out, registered, strict=True))
    assert all(abs(at - clock()) < timedelta(seconds=60) for at in out)
    assert await region.nodes[0].registry.heartbeat(app, id_of(app))
    await region.take_out(app, id_of(app))
    assert await changed_at() == out


async def test_taking_out_at_one_node_reaches_the_other_by_replication(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    await region.port.take_out(app, id_of(app), await region.port.read(app, id_of(app), region.urls[:1]))
    await everywhere(region, app, Condition.out)


async def test_a_heartbeat_brings_a_newer_registration_to_a_node_that_missed_it(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    await asyncio.sleep(1.5)  # until the peers have what was replicated
    await region.nodes[0].registry.register(app, id_of(app), ip="10.77.0.2", alone=True)
    assert [one.ip for one in present(await region.port.read(app, id_of(app)))] == ["10.77.0.2", IP]
    assert await region.nodes[0].registry.heartbeat(app, id_of(app))

    async def is_there() -> bool:
        return {one.ip for one in present(await region.port.read(app, id_of(app)))} == {"10.77.0.2"}

    await until(is_there, "the newer registration at both nodes", timeout=15)


async def test_taking_out_or_removing_what_is_absent_is_quietly_done(region: RegionUnderTest) -> None:
    app = fresh_app()
    assert await region.take_out(app, id_of(app)) == ()
    assert await region.port.remove(app, id_of(app), region.urls) == ()
    assert conditions(await region.port.read(app, id_of(app))) == [Condition.absent] * 2


async def test_a_client_that_is_out_of_service_by_itself_is_held_by_no_override(region: RegionUnderTest) -> None:
    app = fresh_app()
    before = await region.port.read(app, id_of(app))
    await region.register_everywhere(app, id_of(app), status=OUT_OF_SERVICE)
    assert await region.port.take_out(app, id_of(app), before) == ()
    without_override = [(Condition.in_service, OUT_OF_SERVICE, "UNKNOWN")] * 2
    assert shown(await region.port.read(app, id_of(app))) == without_override


async def test_taking_out_what_is_out_of_service_by_itself_stores_an_override(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app), status=OUT_OF_SERVICE)
    assert await region.take_out(app, id_of(app)) == ()
    await asyncio.sleep(2)
    assert conditions(await region.port.read(app, id_of(app))) == [Condition.out] * 2
    await region.register_everywhere(app, id_of(app), status="UP")
    assert conditions(await region.port.read(app, id_of(app))) == [Condition.out] * 2


async def test_restoring_lifts_the_override_at_every_node_for_good(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    await region.take_out(app, id_of(app))
    assert await region.port.restore(app, id_of(app), await region.port.read(app, id_of(app))) == ()
    await asyncio.sleep(2)
    assert shown(await region.port.read(app, id_of(app))) == [(Condition.in_service, UP, "UNKNOWN")] * 2


@pytest.mark.parametrize("status", ["DOWN", "STARTING"])
async def test_restoring_to_what_it_said_before_shows_that_until_it_says_up(
    region: RegionUnderTest, status: str
) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app), status=status)
    await region.take_out(app, id_of(app))
    out = await region.port.read(app, id_of(app))
    assert conditions(out) == [Condition.out] * 2
    assert await region.port.restore(app, id_of(app), out, status=status) == ()
    for node in region.nodes:
        assert await node.registry.heartbeat(app, id_of(app))
    await asyncio.sleep(2)
    assert shown(await region.port.read(app, id_of(app))) == [(Condition.in_service, status, "UNKNOWN")] * 2
    await region.register_everywhere(app, id_of(app))
    assert shown(await region.port.read(app, id_of(app))) == [(Condition.in_service, UP, "UNKNOWN")] * 2


async def test_an_override_sticks_to_the_id_and_holds_a_new_process_out(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    assert await region.take_out(app, id_of(app)) == ()
    await asyncio.sleep(1.5)  # until the peers have what was replicated: a late write changes what is shown, too
    await region.register_everywhere(app, id_of(app), status="STARTING")
    assert shown(await region.port.read(app, id_of(app))) == [(Condition.out, "STARTING", OUT_OF_SERVICE)] * 2
    await region.register_everywhere(app, id_of(app))
    assert [r.instance and r.instance.status for r in await region.port.read(app, id_of(app))] == [OUT_OF_SERVICE] * 2


async def test_an_override_is_keyed_by_id_alone_and_hits_other_apps_too(region: RegionUnderTest) -> None:
    mine, other, instance_id = fresh_app(), fresh_app(), f"dup-{fresh_app()}"
    for app in (mine, other):
        await region.register_everywhere(app, instance_id)
    await region.take_out(mine, instance_id)
    for node in region.nodes:
        assert await node.registry.heartbeat(other, instance_id)
    readings = await region.port.read(other, instance_id)
    assert [reading.instance and reading.instance.status for reading in readings] == [OUT_OF_SERVICE] * 2


async def test_removing_takes_the_override_too_and_a_new_registration_is_up(
    region: RegionUnderTest,
) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    assert await region.take_out(app, id_of(app)) == ()
    await region.delete_until_gone(app, id_of(app))
    await asyncio.sleep(2)
    await region.delete_until_gone(app, id_of(app))
    for node in region.nodes:
        assert not await node.registry.heartbeat(app, id_of(app))
    await region.register_everywhere(app, id_of(app))
    readings = await region.port.read(app, id_of(app))
    assert [reading.instance and reading.instance.status for reading in readings] == ["UP"] * 2


async def test_a_delete_of_what_is_absent_still_lifts_the_override_of_that_id(region: RegionUnderTest) -> None:
    app, other = fresh_app(), fresh_app()
    instance_id = f"dup-{app}"
    await region.register_everywhere(app, instance_id)
    await region.take_out(app, instance_id)
    await asyncio.sleep(1.5)  # until the peers have what was replicated
    await region.port.remove(other, instance_id, region.urls)
    await region.register_everywhere(other, instance_id)

    async def look() -> bool:
        readings = await region.port.read(other, instance_id)
        return [reading.condition for reading in readings] == [Condition.in_service] * 2

    await until(look, "in service at both nodes", timeout=10)


async def test_a_renewal_is_shown_90_seconds_ahead_and_a_status_put_renews(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    assert await region.take_out(app, id_of(app)) == ()
    await asyncio.sleep(2)  # the peers' own copies of the PUT renew once more
    first = await region.port.read(app, id_of(app))
    assert len(first) == 2
    for reading in first:
        assert reading.instance is not None
        assert reading.instance.renewed_at is not None
        assert timedelta(seconds=80) < reading.instance.renewed_at - clock() < timedelta(seconds=91)
    assert [r.instance and r.instance.renewed_at for r in await region.port.read(app, id_of(app))] == [
        reading.instance and reading.instance.renewed_at for reading in first
    ]
    assert await region.nodes[0].registry.heartbeat(app, id_of(app))
    again = (await region.port.read(app, id_of(app)))[0]
    assert again.instance is not None
    assert first[0].instance is not None
    assert again.instance.renewed_at != first[0].instance.renewed_at


async def test_the_index_offers_who_has_the_address_or_name_and_all_id_holders(
    region: RegionUnderTest,
) -> None:
    app, other = fresh_app(), fresh_app()
    instance_id, ip, host = f"dup-{app}", f"10.78.{int(app[3:5], 16)}.{int(app[5:7], 16)}", f"H-{app}"
    first = region.nodes[0].registry
    await first.register(app, instance_id, ip=ip, host=host)
    await first.register(other, instance_id, ip="10.79.0.1", host="stranger")
    by_address, by_name = a_pod(ip=ip), a_pod(name=host.lower(), ip="10.99.99.99")

    async def look() -> object:
        found = await region.port.find(by_address, not_before=clock())
        return found if len({holder.app for holder in found.holders}) == 2 else None

    found: Any = await until(look, "both in the index", timeout=45, interval=1)
    assert [(one.app, one.id) for one in found.candidates] == [(app, instance_id)]
    assert {holder.app for holder in found.holders} == {app, other}
    found = await region.port.find(by_name, not_before=clock())
    assert [one.app for one in found.candidates] == [app]
    nobody = await region.port.find(a_pod(ip="10.99.0.1", name="nobody"), not_before=clock())
    assert (nobody.candidates, nobody.missing) == ((), ())


async def test_the_index_offers_who_bears_the_pods_name_or_tells_its_uid(region: RegionUnderTest) -> None:
    app = fresh_app()
    name, uid = f"{app.lower()}-7cd9c4fbcc-nlttw", f"{app.lower()}-4c57"
    first = region.nodes[0].registry
    await first.register(app, f"{name}:{app}:8080", ip="10.79.0.2", host="second-nic")
    await first.register(app, f"told-{app}", ip="10.79.0.3", host="told", metadata={"POD_UID": uid})
    pod = a_pod(uid, name=name, ip="10.99.99.99")

    async def look() -> object:
        found = await region.port.find(pod, not_before=clock())
        return found if len(found.candidates) == 2 else None

    found: Any = await until(look, "both in the index", timeout=45, interval=1)
    assert {one.id for one in found.candidates} == {f"{name}:{app}:8080", f"told-{app}"}


async def test_each_nodes_list_is_shown_whenever_the_index_is_made_anew(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    shown: list[tuple[str, datetime]] = []

    def read(listed: Sequence[Instance], asked_at: datetime) -> Iterator[None]:
        shown.extend((one.status, asked_at) for one in listed if one.app == app)
        yield

    region.port.list_readers.append(read)
    try:
        begun = clock()

        async def both_have_shown_it() -> bool:
            shown.clear()
            await region.port.find(a_pod(), not_before=clock())
            return len(shown) == len(region.nodes)

        await until(both_have_shown_it, "it in each node's list", timeout=45, interval=1)
        assert {status for status, _ in shown} == {"UP"}
        assert all(begun <= asked_at <= clock() for _, asked_at in shown)
    finally:
        region.port.list_readers.remove(read)


async def test_an_id_is_looked_up_past_the_cache_in_any_app_at_any_node(
    region: RegionUnderTest,
) -> None:
    app = fresh_app()
    instance_id = f"young-{app}"
    assert await region.port.look_up(instance_id) is None
    await region.nodes[1].registry.register(app, instance_id, ip=IP)
    found = await region.port.look_up(instance_id)
    assert found is not None
    assert (found.app, found.id) == (app, instance_id)
