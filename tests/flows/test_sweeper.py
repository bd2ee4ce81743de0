"""What a pass of the sweep came to, as the event log gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest

from controller.bounds import MAX_BODY_BYTES, MAX_TEXT_LENGTH
from controller.domain.instances import Instance
from controller.domain.orphans import Orphan, Provenance, Suspect
from controller.domain.reason import Reason, ReasonCode
from controller.domain.sweep_report import MAX_CHARACTERS, MAX_FINDINGS, LatestSweeps, SweepFinding, SweepReport
from controller.errors import MessageError, RegistryError
from controller.flows.sweeper import Sweeper, SweepResult
from controller.messages.codec import decode_sweep, encode_sweep
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.world import World
from tests.unit.building import an_instance, at


def an_orphan(instance_id: str, *, region: str = "eu", doubt: str = "") -> Orphan:
    instance = an_instance(id=instance_id, app=instance_id[:MAX_TEXT_LENGTH])
    suspect = Suspect(region=region, instance=instance, evidence="pod_cidrs: 10.1.0.0/16")
    return Orphan(suspect=suspect, doubt=doubt)


def a_sweeper(regions: Mapping[str, Any], provenance: Provenance) -> Sweeper:
    async def nobody() -> tuple[()]:
        return ()

    return Sweeper(census=nobody, regions=regions, provenance=provenance, clock=virtual_clock, cluster="test")


def reports(*found: Orphan, drained: bool = False, **incomplete: str) -> dict[str, SweepReport]:
    sweeper = a_sweeper(dict.fromkeys(("eu", "us")), Provenance("test", []))
    done = SweepResult(findings=list(found), incomplete=incomplete, looked_at=at(70))
    return {one.region: one for one in sweeper.reports(done, drained=drained)}


def test_each_region_has_a_report_and_what_is_silent_is_named_first() -> None:
    found = reports(an_orphan("ghost", doubt="it heartbeats"), an_orphan("left"), drained=True, us="no answer")
    assert [one.instance_id for one in found["eu"].findings] == ["left", "ghost"]
    assert (found["eu"].silent, found["eu"].doubtful, found["eu"].drained, found["eu"].at) == (1, 1, True, at(70))
    assert found["us"].incomplete == "no answer"
    assert found["us"].findings == ()


def test_a_report_fits_a_message_whatever_people_register() -> None:
    many = reports(*(an_orphan(f"left-{number}") for number in range(1_000)))["eu"]
    assert (many.silent, len(many.findings), many.left_out) == (1_000, MAX_FINDINGS, 800)
    hostile = reports(*(an_orphan("\0" * MAX_TEXT_LENGTH) for _ in range(1_000)), us="\0" * 100_000)
    assert len(encode_sweep(hostile["eu"])) < MAX_BODY_BYTES
    assert hostile["eu"].left_out + len(hostile["eu"].findings) == 1_000
    assert len(encode_sweep(hostile["us"])) < MAX_BODY_BYTES


@pytest.mark.parametrize("count", ["-1", str(10**400)])
def test_a_count_that_cannot_be_is_no_report(count: str) -> None:
    body = f'{{"version":1,"cluster":"t","region":"eu","at":"2025-06-01T12:00:00Z","silent":{count}}}'
    with pytest.raises(MessageError):
        decode_sweep(body.encode())


def test_what_is_read_is_bounded_as_what_is_written() -> None:
    long = SweepFinding(app="A", instance_id="i" * MAX_TEXT_LENGTH, ip="", evidence="e" * MAX_TEXT_LENGTH)
    sweeps = LatestSweeps()
    sweeps.apply(SweepReport(cluster="test", region="eu", at=at(0), findings=(long,) * MAX_FINDINGS))
    [kept] = sweeps.all()
    assert sum(one.characters for one in kept.findings) <= MAX_CHARACTERS
    assert kept.left_out == 0


@in_virtual_time
async def test_nothing_is_to_be_drained_where_nothing_can_be_concluded() -> None:
    async with World() as world:
        own = await world.process()
        own.die()
        await asyncio.sleep(60)
        lists = 0

        async def everything() -> tuple[Instance, ...]:
            nonlocal lists
            lists += 1
            if lists > 1:
                raise RegistryError.of(Reason(code=ReasonCode.unreachable, detail="the second list timed out"))
            return tuple(await type(world.registry).everything(world.registry))

        world.registry.everything = everything  # type: ignore[method-assign]
        sweeper = a_sweeper({"eu": world.registry}, Provenance("test", [ip_network("10.1.0.0/16")]))
        done = await sweeper.look()
        assert list(done.incomplete) == ["eu"]
        assert [one.doubt for one in done.findings] == ["not proved: its region was not read completely"]
        assert done.silent == []
