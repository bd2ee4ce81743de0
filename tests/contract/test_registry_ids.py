"""Ids in a URL: whatever a client library makes up is reached as it is, and what cannot be is never asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.domain.instances import OUT_OF_SERVICE, Condition
from controller.errors import RegistryError
from tests.contract.regions import RegionUnderTest, adapter, fake_region, fresh_app
from tests.contract.silly_server import SillyServer
from tests.contract.test_registry import conditions
from tests.unit.building import an_instance

REACHABLE = [
    "with space",
    "100%",
    "a#b",
    "a?b",
    "a;b",
    "a&b",
    "a+b",
    "a[b]",
    'a"b',
    "größe-日本",
    "literal%2Fslash",
    "%2e%2e",
    "a..b",
    "{braces}",
]
UNREACHABLE = ["a/b", "/", ".", "..", "a\\b", "a\x00b", "a\nb", "", "x" * 600]


@pytest.mark.parametrize("odd", REACHABLE)
async def test_an_odd_id_is_read_looked_up_taken_out_and_removed_as_it_is(region: RegionUnderTest, odd: str) -> None:
    app = fresh_app()
    instance_id = f"{app}{odd}" if odd != "%2e%2e" else odd
    await region.register_everywhere(app, instance_id)
    readings = await region.port.read(app, instance_id)
    assert [reading.instance and reading.instance.id for reading in readings] == [instance_id] * 2
    found = await region.port.look_up(instance_id)
    assert found is not None
    assert found.id == instance_id
    assert await region.take_out(app, instance_id) == ()
    assert {one.condition for one in await region.port.read(app, instance_id)} == {Condition.out}
    await region.delete_until_gone(app, instance_id)


@pytest.mark.parametrize("bad", UNREACHABLE)
async def test_what_cannot_be_addressed_never_leads_to_a_request(bad: str) -> None:
    async with SillyServer() as server, adapter(server.url) as real:
        for app, instance_id in ((bad, "id"), ("APP", bad)):
            (reading,) = await real.read(app, instance_id)
            assert reading.condition is Condition.failing
            by_itself = replace(reading, instance=an_instance(status=OUT_OF_SERVICE))
            assert conditions(await real.take_out(app, instance_id, (by_itself,))) == [Condition.failing]
            assert conditions(await real.restore(app, instance_id, (by_itself,))) == [Condition.failing]
            assert conditions(await real.remove(app, instance_id, [reading.node])) == [Condition.failing]
        with pytest.raises(RegistryError):
            await real.look_up(bad)
        assert server.requests == []


@pytest.mark.parametrize("bad", UNREACHABLE)
async def test_the_fake_sends_nothing_either(bad: str) -> None:
    region = fake_region()
    for app, instance_id in ((bad, "id"), ("APP", bad)):
        readings = await region.port.read(app, instance_id)
        assert conditions(readings) == [Condition.failing] * 2
        assert conditions(await region.port.take_out(app, instance_id, readings)) == [Condition.failing] * 2
        assert conditions(await region.port.restore(app, instance_id, readings)) == [Condition.failing] * 2
        assert conditions(await region.port.remove(app, instance_id, region.urls)) == [Condition.failing] * 2
    with pytest.raises(RegistryError):
        await region.port.look_up(bad)
    assert region.port.requests == []  # type: ignore[attr-defined]
