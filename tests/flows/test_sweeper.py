"""What a pass of the sweep came to, as the event log gets it."""

from __future__ import annotations

from controller.bounds import MAX_BODY_BYTES, MAX_TEXT_LENGTH
from controller.domain.orphans import Orphan, Provenance, Suspect
from controller.domain.sweep_report import MAX_FINDINGS, SweepReport
from controller.flows.sweeper import Sweeper, SweepResult
from controller.messages.codec import encode_sweep
from tests.unit.building import an_instance, at


def an_orphan(instance_id: str, *, region: str = "eu", doubt: str = "") -> Orphan:
    instance = an_instance(id=instance_id, app=instance_id[:MAX_TEXT_LENGTH])
    suspect = Suspect(region=region, instance=instance, evidence="pod_cidrs: 10.1.0.0/16")
    return Orphan(suspect=suspect, doubt=doubt)


def reports(*found: Orphan, drained: bool = False, **incomplete: str) -> dict[str, SweepReport]:
    async def nobody() -> tuple[()]:
        return ()

    regions = dict.fromkeys(("eu", "us"))
    sweeper = Sweeper(
        census=nobody,
        regions=regions,  # type: ignore[arg-type]
        provenance=Provenance("test", []),
        clock=lambda: at(0),
        cluster="test",
    )
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
