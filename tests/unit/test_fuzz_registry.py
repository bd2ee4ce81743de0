"""Thirty thousand answers of servers that do not answer as a registry should, alone and to a worker at work."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import aiohttp

from controller.domain.annotations import PodAnnotations
from controller.domain.candidates import resolve
from controller.domain.events import Outcome, make_event
from controller.domain.instances import Instance, read
from controller.domain.silence import silence_of
from controller.errors import RegistryError
from controller.eureka.registry_decoder import decode_instance
from controller.messages.codec import encode_entry, encode_item
from controller.rabbit import names
from tests.fakes.virtual_time import in_virtual_time
from tests.unit.building import a_command, a_progress, a_target, at
from tests.unit.fuzz_drawn import (
    SHARE,
    Bench,
    Delivered,
    Draw,
    RecordedSession,
    every_log_a_line,
    from_wire,
    fuzz,
    fuzz_async,
    registration,
)
from tests.unit.registries import read_all


def one(**changes: Any) -> dict[str, Any]:
    return {**registration(), **changes}


def in_words() -> dict[str, Any]:
    """The other codec: numbers as text, the other spelling of the override."""
    entry = one(overriddenstatus="OUT_OF_SERVICE", status="OUT_OF_SERVICE", port={"$": "8080", "@enabled": "true"})
    del entry["overriddenStatus"]
    entry["leaseInfo"] = {name: str(value) for name, value in entry["leaseInfo"].items()}
    return entry


def everything(application: Any) -> str:
    return json.dumps({"applications": {"versions__delta": "1", "apps__hashcode": "UP_1_", "application": application}})


INSTANCES = [json.dumps({"instance": entry}) for entry in (one(), in_words(), one(hostName="x", ipAddr="::1"))]
REGISTRIES = [
    everything(
        [{"name": "ORDERS", "instance": [one(), in_words()]}, {"name": "ADMIN", "instance": [one(app="ADMIN")]}]
    ),
    everything({"name": "ORDERS", "instance": one()}),
    everything([{"name": "ORDERS", "instance": in_words()}]),
    everything([{"name": "ORDERS", "instance": [one(instanceId=f"id-{number}") for number in range(5)]}]),
    everything([]),
]
XML = (
    b"<applications><application><name>ORDERS</name><instance><app>ORDERS</app></instance></application></applications>"
)


def understood(draw: Draw) -> str:
    try:
        if draw.maybe(0.02):
            found = read_all(XML)
        elif draw.maybe(0.5):
            found = [decode_instance(draw.document(draw.choice(INSTANCES)))]
            assert found[0].renewed_at is not None
        else:
            found = read_all(draw.document(draw.choice(REGISTRIES)))
    except RegistryError as error:
        return "nonsense" if 0 < len(str(error)) < 200 else "a long story"
    for instance in found:
        believed(instance)
    command = a_command()
    resolution = resolve(command, PodAnnotations(), found, found)
    for instance in resolution.own:
        carried_on(instance)
    for rejected in resolution.rejected:
        app, instance_id = rejected.instance.app, rejected.instance.id
        event = make_event(command, Outcome.refused, at(0), reason=rejected.reason, app=app, instance_id=instance_id)
        assert encode_entry(event)
    return "own" if resolution.own else "not its own"


def believed(instance: Instance) -> None:
    """An instance that the decoder lets pass can be worked with."""
    assert instance.app == instance.app.upper()
    assert timedelta(0) < silence_of(instance.renewal_interval) < timedelta(days=2)
    assert read("http://eureka/eureka", instance).answered


def carried_on(instance: Instance) -> None:
    """What a worker writes down of it can be read again."""
    target = a_target(
        app=instance.app, id=instance.id, ip=instance.ip, host_name=instance.host_name, port=instance.port
    )
    command = a_command(progress=a_progress(target))
    assert from_wire(encode_item(command)) == command


def test_every_answer_is_a_registrys_or_nonsense() -> None:
    tally = fuzz("answers", understood)
    assert "a long story" not in tally
    for became in ("nonsense", "own", "not its own"):
        assert tally[became] > 200 // SHARE, tally


STATUSES = (204, 301, 302, 307, 400, 401, 403, 404, 404, 406, 409, 429, 500, 500, 502, 503)
TROUBLES = (
    TimeoutError(),
    ConnectionResetError("reset"),
    aiohttp.ClientPayloadError("payload"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientOSError(111, "refused"),
    aiohttp.InvalidURL("x"),
    ValueError("chunk"),
)


class Garbler:
    """Between a registry and its reader: sometimes it says something else."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._often = draw.choice((0.05, 0.3, 1.0))

    def __call__(self, status: int, text: str) -> tuple[int, bytes]:
        draw = self._draw
        if not draw.maybe(self._often):
            return status, text.encode()
        kind = draw.random()
        if kind < 0.08:
            raise draw.choice(TROUBLES)
        if kind < 0.25:
            return draw.choice(STATUSES), draw.choice((b"", text.encode(), b"<html>"))
        return status, draw.document(text, untouched=0.0) if text else draw.randbytes(20)


async def worked(draw: Draw) -> str:
    session = RecordedSession(garble=Garbler(draw))
    session.listed = [one(), in_words() if draw.maybe(0.3) else one(instanceId="b", app="ADMIN")]
    bench = Bench(session, instance_id_templates=("{name}:{ip}:{port}",), give_up_after=timedelta(minutes=2))
    await bench.follow(await bench.take(Delivered(encode_item(a_command()))), steps=1 + draw.choice((2, 4, 12)))
    headers = [one.message.headers or {} for one in bench.outbox.at(names.DEAD)]
    errors = [one["x-reason"] for one in headers if one["x-reason-code"] == "internal_error"]
    assert not errors, errors
    outcomes = [event.outcome for event in bench.outbox.events]
    return outcomes[-1] if outcomes else "looks again"


def test_no_answer_makes_a_worker_fail_or_send_another_request() -> None:
    @in_virtual_time
    async def record() -> None:
        tally = await fuzz_async("talks", worked)
        for became in ("retrying", "out_of_service", "refused"):
            assert tally[became] * SHARE > 5, tally

    with every_log_a_line():
        record()
