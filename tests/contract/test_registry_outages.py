"""A node that is down or frozen: the other one is served at once, and nothing is lost."""

from __future__ import annotations

import time

import pytest

from controller.domain.instances import Condition
from controller.domain.reason import ReasonCode
from controller.errors import RegistryError
from tests.contract.regions import RegionUnderTest, clock, fresh_app
from tests.contract.test_registry import conditions, everywhere, id_of
from tests.stack.waiting import until
from tests.unit.building import a_pod

FROZEN_COSTS = 4.0
"""Seconds that one frozen node may cost a reading, or a look into the index."""


async def test_a_frozen_node_is_unreachable_and_costs_the_other_little(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    region.nodes[1].pause()
    try:
        begun = time.monotonic()
        readings = await region.port.read(app, id_of(app))
        assert time.monotonic() - begun < FROZEN_COSTS
        assert conditions(readings) == [Condition.in_service, Condition.unreachable]
        begun = time.monotonic()
        for _ in range(3):
            assert conditions(await region.port.read(app, id_of(app))) == [Condition.in_service, Condition.unreachable]
        assert time.monotonic() - begun < FROZEN_COSTS, "it is waited for only briefly from now on"
        assert conditions(await region.take_out(app, id_of(app))) == [Condition.unreachable]
        assert conditions(await region.port.read(app, id_of(app))) == [Condition.out, Condition.unreachable]
    finally:
        region.nodes[1].resume()

    async def healed() -> bool:
        await region.take_out(app, id_of(app))
        return conditions(await region.port.read(app, id_of(app))) == [Condition.out] * 2

    await until(healed, "both out", timeout=15)


async def test_a_write_that_a_frozen_node_was_given_is_done_when_it_goes_on(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    readings = await region.port.read(app, id_of(app))
    region.nodes[1].pause()
    try:
        [refused] = await region.port.take_out(app, id_of(app), readings[1:])
        assert refused.condition is Condition.unreachable
        shown = await region.port.read(app, id_of(app))
        assert conditions(shown) == [Condition.in_service, Condition.unreachable]
    finally:
        region.nodes[1].resume()
    await everywhere(region, app, Condition.out)  # at the other one by replication
    await region.delete_until_gone(app, id_of(app))


async def test_a_frozen_node_does_not_hold_up_a_look_into_the_index(region: RegionUnderTest) -> None:
    region.nodes[1].pause()
    try:
        begun = time.monotonic()
        await region.port.find(a_pod(), not_before=clock())
        assert time.monotonic() - begun < FROZEN_COSTS
    finally:
        region.nodes[1].resume()


async def test_a_frozen_first_node_does_not_hold_up_a_look_up_by_id(region: RegionUnderTest) -> None:
    app = fresh_app()
    await region.nodes[1].registry.register(app, f"id-{app}", ip="10.1.1.1")
    region.nodes[0].pause()
    try:
        begun = time.monotonic()
        found = await region.port.look_up(f"id-{app}")
        assert time.monotonic() - begun < FROZEN_COSTS
        assert found is not None
    finally:
        region.nodes[0].resume()


async def test_a_killed_node_is_unreachable_and_knows_the_instance_when_back(
    region: RegionUnderTest,
) -> None:
    app = fresh_app()
    await region.register_everywhere(app, id_of(app))
    await region.nodes[1].kill()
    try:
        assert conditions(await region.port.read(app, id_of(app))) == [Condition.in_service, Condition.unreachable]
        assert conditions(await region.take_out(app, id_of(app))) == [Condition.unreachable]
        assert conditions(await region.port.read(app, id_of(app))) == [Condition.out, Condition.unreachable]
        found = await region.port.find(a_pod(ip="10.99.0.9"), not_before=clock())
        assert found.candidates == ()
        [missing] = found.missing
        assert missing.code is ReasonCode.unreachable
        assert region.urls[1] in str(missing)
        with pytest.raises(RegistryError, match=region.urls[1]):
            await region.port.look_up(f"nobody-{app}")
        with pytest.raises(RegistryError, match=region.urls[1]):
            await region.port.everything()
        await region.nodes[0].registry.register(app, f"here-{app}", ip="10.1.1.1")
        assert await region.port.look_up(f"here-{app}") is not None
    finally:
        await region.nodes[1].start()
    await everywhere(region, app, Condition.out)
    await region.delete_until_gone(app, id_of(app))
