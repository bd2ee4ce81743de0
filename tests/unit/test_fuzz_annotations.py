"""Tens of thousands of pods with hostile annotations, from the API server's bytes to the requests at a node."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from controller.app.watch_parts import build_watch
from controller.domain.causes import Cause
from controller.domain.ledger import Ledger
from controller.domain.reason import ReasonCode
from controller.domain.routing import Routing
from controller.domain.tracking import Due
from controller.flows.priority import PriorityGate
from controller.kube.pod_decoder import decode_pod
from controller.messages import v1
from controller.rabbit import names
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.unit.fuzz_drawn import (
    SHARE,
    Bench,
    Delivered,
    Draw,
    RecordedOutbox,
    RecordedSession,
    every_log_a_line,
    fuzz_async,
    registration,
)

OFF = ("false", " FALSE ")
FINE: dict[str, tuple[str, ...]] = {
    "enabled": ("true", " True ", "TRUE"),
    "app": ("orders", "größe", "100%", "a b", "literal%2Fslash", "%2e%2e", "a..b", "{braces}", "?value=UP", "x" * 512),
    "instance-id": ("orders-0:orders:8080", "{hostname}:{name}", "{ip}", "a#b?c;d", "%2e%2e", "日本", "x&y=z", "..."),
    "port": ("8080", "1", "65535", " 80 "),
    "region": ("eu", "eu,us", "*", " eu , us ", "eu,eu"),
    "retention": ("0s", "5m", "30d", "500ms", "1.5h", " 30s "),
}
NAMES = (
    "",
    " ",
    ".",
    "..",
    "a/b",
    "../../admin",
    "/",
    "a\\b",
    "a\x00b",
    "a\nb",
    "\x9f-",
    "\x7f",
    "x" * 513,
    "x" * 1_025,
)
BROKEN: dict[str, tuple[str, ...]] = {
    "enabled": ("", "nope", "yes", "1", "{}", "true\x00", "true,false", "x" * 2_000),
    "app": NAMES,
    "instance-id": (
        *NAMES,
        "{unknown}",
        "{0}",
        "{}",
        "{ip.__class__}",
        "{ip}/{name}",
        "{name}\r\n{ip}",
        "x{hostname}/",
    ),
    "port": ("", "0", "-1", "65536", "99999", "1e3", "8080; DROP", "٨٠", "９", "+80", "1_0", "8" * 2_000),
    "region": ("", ",", "EU", "eu.*.#", "a/b", "x" * 64, "eu us", "eu,-", "ä", "eu,\x00", "{}", "**", "e" * 2_000),
    "retention": ("", "-5m", "5 m", "5M", "366d", "s", "forever{}", "1e9s", "٥m", "5m5m", "9" * 2_000 + "s"),
}
ROUTING = Routing(cluster="test", known=("eu", "us"), default=("eu",), namespaces={})
FOLLOWED = 0.02
"""Which part of the pods is followed to the DELETE."""


class Annotated:
    """A pod with annotations of ours; what is to become of it is known beforehand, where it is."""

    def __init__(self, draw: Draw) -> None:
        self.notes: dict[str, str] = {}
        self.broken: set[str] = set()
        self.unclear: set[str] = set()
        for name in draw.sample(tuple(FINE), draw.choice((1, 1, 2, 3, 6))):
            kind = draw.random()
            if kind < 0.35:
                self.notes[name] = draw.choice(FINE[name])
            elif kind < 0.6:
                self.notes[name] = draw.choice(BROKEN[name])
                self.broken.add(name)
            elif kind < 0.63 and name == "enabled":
                self.notes[name] = draw.choice(OFF)
            else:
                self.notes[name] = draw.text()
                self.unclear.add(name)

    @property
    def off(self) -> bool:
        return self.notes.get("enabled") in OFF

    def body(self) -> bytes:
        ours = {f"eureka.drain/{name}": value for name, value in self.notes.items()}
        whole = {
            "metadata": {
                "name": "orders-0",
                "namespace": "shop",
                "uid": "uid-1",
                "resourceVersion": "42",
                "creationTimestamp": "2025-06-01T11:00:00Z",
                "deletionTimestamp": "2025-06-01T12:00:30Z",
                "deletionGracePeriodSeconds": 30,
                "labels": {"app": "orders"},
                "annotations": {**ours, "example.com/other": "{}"},
            },
            "spec": {"nodeName": "node-a", "containers": [{"ports": [{"containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": "10.1.0.7"},
        }
        return json.dumps(whole).encode()


async def published_by_the_watch(pod: Annotated) -> RecordedOutbox:
    outbox = RecordedOutbox()
    parts = build_watch(
        feeds=[],
        outbox=outbox,
        routing=ROUTING,
        clock=virtual_clock,
        observer=FakeObserver(),
        priority=PriorityGate(),
        ledger=Ledger(),
        log=FakeLog(),
        positions_log=FakeLog(),
    )
    found, _ = decode_pod(pod.body())
    await parts.dispatcher._send(Due(pod=found, cause=Cause.terminating, observed_at=virtual_clock()))
    assert await parts.publisher.finish(timedelta(minutes=1)) == 0
    return outbox


ANNOTATION = re.compile(r"annotation eureka\.drain/(enabled|app|instance-id|port|region|retention)=")


def is_refused_for_its_annotation(event: v1.EventV1) -> bool:
    reason = event.reason
    return (
        event.outcome == "refused"
        and reason is not None
        and reason.code in (ReasonCode.invalid_annotation, ReasonCode.no_region)
        and ANNOTATION.match(reason.detail) is not None
    )


async def drained(draw: Draw) -> str:
    pod = Annotated(draw)
    outbox = await published_by_the_watch(pod)
    commands, events = outbox.at(names.COMMANDS), outbox.events
    if pod.off:
        assert not outbox.published, "it is switched off"
        return "off"
    assert outbox.published, "silence"
    if pod.broken & {"enabled", "region"} and not commands:
        assert [is_refused_for_its_annotation(event) for event in events] == [True], [event.reason for event in events]
        assert events[0].uid == "uid-1"
        return "refused by the watch"
    assert not pod.broken & {"enabled", "region"}
    if not commands:
        assert pod.unclear & {"enabled", "region"}
        assert [is_refused_for_its_annotation(event) for event in events] == [True], [event.reason for event in events]
        return "refused by the watch"
    mine = next((one for one in commands if one.key == "eu"), None)
    if mine is None:
        return "elsewhere"
    return await worked(draw, pod, mine.message.body)


async def worked(draw: Draw, pod: Annotated, body: bytes) -> str:
    session = RecordedSession()
    session.app = pod.notes.get("app", "orders").strip().upper()
    session.listed = [registration(), {**registration(), "app": draw.text(), "instanceId": draw.text()}]
    bench = Bench(session, instance_id_templates=("{app}:{ip}", "{hostname}:{app}:{port}"))
    published = await bench.take(Delivered(body))
    outcomes = [event.outcome for event in bench.outbox.events]
    if pod.broken:
        assert [is_refused_for_its_annotation(event) for event in bench.outbox.events] == [True], outcomes
        assert session.requests == [], "asked for what it had to refuse"
        assert len(published) == 1
        return "refused by the worker"
    if not session.requests:
        assert outcomes == ["refused"]
        assert pod.unclear
        return "refused by the worker"
    if draw.maybe(FOLLOWED):
        await bench.follow(published, steps=40)
    return "out of service" if "out_of_service" in outcomes else "looked for"


def test_every_annotation_is_followed_or_refused_with_its_reason() -> None:
    @in_virtual_time
    async def record() -> None:
        tally = await fuzz_async("annotations", drained)
        for became in ("refused by the watch", "refused by the worker", "out of service", "looked for", "off"):
            assert tally[became] > 200 // SHARE, tally

    with every_log_a_line():
        record()
