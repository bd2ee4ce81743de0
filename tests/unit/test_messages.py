"""The wire: round trips, the pinned bytes of version 1, and what is refused as no message of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bounds import MAX_BODY_BYTES
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Progress, RestoreCommand, Stage, Target, WorkItem, make_restore
from controller.domain.events import (
    Event,
    Outcome,
    PodGoneEvent,
    TakeoverEvent,
    make_event,
    make_gone_event,
    make_takeover_event,
)
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import Condition
from controller.domain.pods import LivingPod, Pod
from controller.domain.reason import Reason, ReasonCode
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.sweep_report import SweepFinding, SweepReport
from controller.errors import MessageError
from controller.messages import v1
from controller.messages.codec import (
    COMMAND_TYPE,
    CONTENT_TYPE,
    EVENT_TYPE,
    GONE_TYPE,
    RESTORE_TYPE,
    TAKEOVER_TYPE,
    decode_end,
    decode_entry,
    decode_item,
    decode_sweep,
    encode_end,
    encode_entry,
    encode_item,
    encode_sweep,
    type_of,
)
from tests.unit.building import (
    STATEFUL_SET,
    a_command,
    a_living_pod,
    a_pod,
    a_progress,
    a_target,
    at,
    out,
    readings,
    terminating,
)
from tests.unit.messages_drawn import commands, living, pods, progresses, reasons, targets

GOLDEN = Path(__file__).parent / "golden"
UNREACHABLE = Reason(code=ReasonCode.unreachable, detail="http://eureka-1:8761/eureka: unreachable")
DENIED = Reason(code=ReasonCode.denied, detail="HTTP 403")


def decoded(body: bytes, type_: str | None = COMMAND_TYPE, content_type: str | None = CONTENT_TYPE) -> WorkItem:
    return decode_item(body, type_=type_, content_type=content_type)


def refusal(body: bytes, type_: str | None = COMMAND_TYPE, content_type: str | None = CONTENT_TYPE) -> str:
    with pytest.raises(MessageError) as caught:
        decoded(body, type_, content_type)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [(Pod, pods), (LivingPod, living), (Target, targets), (Progress, progresses), (DrainCommand, commands)],
)
def test_every_field_is_drawn(kind: Any, drawn: st.SearchStrategy[Any]) -> None:
    assert [field.name for field in fields(kind) if f"{field.name}=" not in repr(drawn)] == []


@given(commands)
def test_a_command_comes_back_as_it_was_sent(command: DrainCommand) -> None:
    assert decoded(encode_item(command)) == command


@given(commands, st.sampled_from(Outcome), st.none() | reasons, st.none() | targets, st.integers(1, 100))
def test_an_event_comes_back_as_it_was_written(
    command: DrainCommand, outcome: Outcome, reason: Reason | None, target: Target | None, attempt: int
) -> None:
    event = make_event(
        command,
        outcome,
        at(0),
        reason=reason,
        target=target,
        nodes=readings(out(), None, Condition.failing) if target else (),
        attempt=attempt,
    )
    if not any(reading.instance for reading in event.nodes):
        assert decode_entry(encode_entry(event)) == event
    wire = msgspec.json.decode(encode_entry(event), type=v1.EventV1)
    assert wire.version == 1
    for name in Event.__dataclass_fields__:
        if name not in ("nodes", "facts", "reason"):
            assert getattr(wire, name) == getattr(event, name), name
    assert wire.reason == (None if reason is None else v1.ReasonV1(code=reason.code, detail=reason.detail))
    assert [(node.node, node.condition, node.detail) for node in wire.nodes] == [
        (node.node, node.condition, node.detail) for node in event.nodes
    ]


@given(pods, st.sampled_from(("", "restore-1")))
def test_a_takeover_comes_back_as_it_was_written(pod: Pod, requested_by: str) -> None:
    takeover = make_takeover_event(restore(pod, requested_by=requested_by), HELD, at(3))
    assert type_of(takeover) == TAKEOVER_TYPE
    assert decode_entry(encode_entry(takeover), TAKEOVER_TYPE) == takeover


HELD = HeldInstance(
    drain_id="u4ogxdsnands54l3",
    region="eu",
    app="ORDERS",
    id="orders-0:orders:8080",
    cause=Cause.terminating,
    namespace="shop",
    pod="orders-0",
    uid="uid-1",
    ip="10.1.0.7",
    since_at=at(0),
    end_at=at(30),
    out_at=at(0.75),
)


def restore(pod: Pod, **facts: Any) -> RestoreCommand:
    return replace(make_restore("test", "eu", pod, (HELD,), at(2)), **facts)


def full_command() -> DrainCommand:
    pod = terminating(
        a_pod(
            ips=("10.1.0.7", "fd00::7"),
            host_ips=("10.0.0.1",),
            subdomain="orders",
            host_network=True,
            mirror=True,
            app_label="orders",
            finished_at=at(20),
            ended_at=at(20),
            unready_at=at(-40),
            started=True,
            disruption="EvictionByEvictionAPI",
            annotations={"app": "orders", "region": "eu", "retention": "90s"},
            owner=STATEFUL_SET,
        )
    )
    target = a_target(
        stage=Stage.retain,
        due_at=at(35.5),
        renewals={"http://eureka-0:8761/eureka": at(80)},
        silent_since=at(0.5),
        may_have_override=True,
        attempt=2,
        trouble=UNREACHABLE,
        trouble_since=at(1),
    )
    progress = a_progress(
        target, step=7, chain="2", attempt=3, trouble=DENIED, trouble_since=at(2), first_look_at=at(0.25)
    )
    other = a_living_pod(ips=("10.1.0.8", "fd00::8"), host_network=True, ports=(8080, 9090))
    return a_command(
        pod,
        gone_at=at(21),
        end_proved=True,
        living=(other,),
        requested_by="ana",
        requested_at=at(-1),
        requested_why="late",
        progress=progress,
    )


def full_event() -> Event:
    return make_event(
        full_command(),
        Outcome.out_of_service,
        at(0.75),
        reason=UNREACHABLE,
        target=a_target(attempt=2),
        nodes=readings(out(), None, Condition.failing),
        retention_ends_at=at(330),
        safe_at=at(95.75),
        dirty_at=at(-3590),
    )


def full_end() -> PodEnd:
    return PodEnd(
        cluster="test",
        drain_ids=("u4ogxdsnands54l3",),
        namespace="shop",
        pod="orders-0",
        uid="uid-1",
        kind="StatefulSet",
        workload="orders",
        template="orders-5f7c",
        at=at(3),
        ended_at=at(2),
        end_cause=EndCause.no_hook,
        why="it has no preStop hook",
    )


def full_sweep() -> SweepReport:
    finding = SweepFinding(
        app="ORDERS",
        instance_id="10.1.0.5:orders:8080",
        ip="10.1.0.5",
        status="UP",
        namespace="shop",
        pod="orders-0",
        evidence="event log: shop/orders-0 requested",
        doubt="it heartbeats: a process without a pod",
    )
    return SweepReport(
        cluster="test",
        region="eu",
        at=at(70),
        silent=3,
        doubtful=1,
        drained=True,
        incomplete="http://eureka-1:8761/eureka: unreachable",
        findings=(finding,),
    )


def first_event() -> Event:
    """How a drain begins: with all that a replay needs."""
    return make_event(full_command(), Outcome.requested, at(0), published_at=at(0.1))


def retrying_event() -> Event:
    """What stands in the way of a drain."""
    return make_event(
        full_command(), Outcome.retrying, at(0.5), reason=DENIED, target=a_target(attempt=2), may_have_override=True
    )


def full_restore() -> RestoreCommand:
    successor = a_pod("uid-3", created_at=at(1), owner=STATEFUL_SET)
    return restore(successor, requested_by="ana", requested_at=at(4), requested_why="late", progress=a_progress(step=3))


def full_takeover() -> TakeoverEvent:
    return make_takeover_event(full_restore(), HELD, at(3))


def full_gone() -> PodGoneEvent:
    return make_gone_event(full_command(), at(31), at(32), proved=True)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("command.v1.json", encode_item(full_command())),
        ("restore.v1.json", encode_item(full_restore())),
        ("requested.v1.json", encode_entry(first_event())),
        ("retrying.v1.json", encode_entry(retrying_event())),
        ("event.v1.json", encode_entry(full_event())),
        ("takeover.v1.json", encode_entry(full_takeover())),
        ("gone.v1.json", encode_entry(full_gone())),
        ("end.v1.json", encode_end(full_end())),
        ("sweep.v1.json", encode_sweep(full_sweep())),
    ],
)
def test_the_bytes_of_version_1_are_frozen(name: str, body: bytes) -> None:
    assert body == (GOLDEN / name).read_bytes().rstrip(b"\n")


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.v1.json").read_bytes()


def test_what_the_first_release_has_written_is_still_read() -> None:
    assert decoded(golden("command")) == full_command()
    assert decoded(golden("restore"), RESTORE_TYPE) == full_restore()
    assert decode_entry(golden("requested"), EVENT_TYPE) == first_event()
    assert decode_entry(golden("retrying"), EVENT_TYPE) == retrying_event()
    assert decode_entry(golden("takeover"), TAKEOVER_TYPE) == full_takeover()
    assert decode_entry(golden("gone"), GONE_TYPE) == full_gone()
    assert decode_end(golden("end")) == full_end()
    assert decode_sweep(golden("sweep")) == full_sweep()
    nodes = tuple(replace(reading, instance=None) for reading in full_event().nodes)
    assert decode_entry(golden("event")) == replace(full_event(), nodes=nodes), "instances stay with the worker"


def test_a_reason_code_of_a_newer_version_is_readable() -> None:
    body = {**json.loads(golden("retrying")), "reason": {"code": "made_up_later", "detail": "why"}}
    entry = decode_entry(json.dumps(body).encode())
    assert isinstance(entry, Event)
    assert entry.reason == Reason(code=ReasonCode.other, detail="why")


@pytest.mark.parametrize("reason", ["why", 7, {}, {"detail": "why"}, {"code": 7}, {"code": "x" * 300}, ["denied"]])
def test_a_reason_without_a_code_is_refused(reason: Any) -> None:
    body = {**json.loads(golden("retrying")), "reason": reason}
    with pytest.raises(MessageError, match=r"drain\.event"):
        decode_entry(json.dumps(body).encode())


def test_a_takeover_is_no_event_and_an_event_no_takeover() -> None:
    with pytest.raises(MessageError, match=r"drain\.event"):
        decode_entry(golden("takeover"), EVENT_TYPE)
    with pytest.raises(MessageError, match=r"drain\.takeover"):
        decode_entry(golden("event"), TAKEOVER_TYPE)


@pytest.mark.parametrize(
    "field", ["event_id", "drain_id", "at", "cluster", "region", "app", "instance_id", "successor"]
)
def test_a_takeover_without_what_it_needs_is_refused(field: str) -> None:
    body = json.loads(golden("takeover"))
    del body[field]
    with pytest.raises(MessageError, match=field):
        decode_entry(json.dumps(body).encode(), TAKEOVER_TYPE)


@pytest.mark.parametrize("field", ["drain_ids", "uid", "at", "end_cause"])
def test_an_end_without_what_it_needs_or_with_nonsense_is_refused(field: str) -> None:
    body = {**json.loads(encode_end(full_end())), field: 7}
    with pytest.raises(MessageError, match=r"drain\.end"):
        decode_end(json.dumps(body).encode())


def test_a_field_that_this_version_does_not_know_is_ignored() -> None:
    body = {**json.loads(encode_item(a_command())), "news": [1, 2]}
    assert decoded(json.dumps(body).encode()) == a_command()


@pytest.mark.parametrize("version", [0, 2, -1, 99, 2**40])
def test_an_unknown_version_is_named(version: int) -> None:
    body = {**json.loads(encode_item(a_command())), "version": version}
    assert str(version) in refusal(json.dumps(body).encode())


@pytest.mark.parametrize("version", ["1", None, 1.5, [], True, 2**70])
def test_a_version_that_is_no_number_is_refused(version: Any) -> None:
    body = {**json.loads(encode_item(a_command())), "version": version}
    assert refusal(json.dumps(body).encode())


@pytest.mark.parametrize("name", ["version", "drain_id", "cluster", "region", "cause", "pod", "observed_at", "end_at"])
def test_a_missing_field_is_named(name: str) -> None:
    body = json.loads(encode_item(a_command()))
    del body[name]
    assert name in refusal(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("region", ""),
        ("region", "x" * 64),
        ("drain_id", ""),
        ("cause", "boredom"),
        ("cluster", None),
        ("observed_at", "yesterday"),
        ("observed_at", "2025-06-01T12:00:00"),
        ("observed_at", "10000-01-01T00:00:00Z"),
        ("observed_at", 0),
        ("pod", []),
        ("pod.uid", ""),
        ("pod.ports", [70_000]),
        ("pod.ports", [-1]),
        ("pod.ports", "8080"),
        ("pod.annotations", {"a": 1}),
        ("pod.annotations", {str(number): "" for number in range(40)}),
        ("pod.name", "x" * 300),
        ("living", [{}]),
        ("progress", {"first_at": None}),
        ("progress", {**json.loads(encode_item(full_command()))["progress"], "trouble": "a text"}),
    ],
)
def test_a_field_of_another_kind_or_beyond_its_bounds_is_refused(path: str, value: Any) -> None:
    body = json.loads(encode_item(a_command()))
    *parents, name = path.split(".")
    holder = body
    for parent in parents:
        holder = holder[parent]
    holder[name] = value
    assert 0 < len(refusal(json.dumps(body).encode())) < 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b"{}",
        b"{",
        b"hello",
        b"\xff\xfe\x00",
        b'{"version":1}',
        b'{"version":1e400}',
        b'"\\ud800"',
        b"NaN",
        b"[" * 100_000,
        b'{"version":1,"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"a":' * 30_000,
        b" " * (MAX_BODY_BYTES + 1),
        b'{"version":1}' + b" " * MAX_BODY_BYTES,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_command_is_refused_with_a_short_reason(body: bytes) -> None:
    assert 0 < len(refusal(body)) < 400


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_message_error(body: bytes) -> None:
    assert refusal(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(encode_item(full_command())))), json_values)
def test_a_command_with_any_field_replaced_is_read_or_refused(name: str, value: Any) -> None:
    body = {**json.loads(encode_item(full_command())), name: value}
    with suppress(MessageError):
        decoded(json.dumps(body).encode())


@pytest.mark.parametrize("type_", [None, "", "drain.event", "drain.command.v2", "x" * 10_000, "\n{}"])
def test_another_type_is_refused_by_name(type_: str | None) -> None:
    reason = refusal(encode_item(a_command()), type_=type_)
    assert "type" in reason
    assert reason.isprintable()
    assert len(reason) < 200


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-msgpack"])
def test_another_content_type_is_refused_by_name(content_type: str | None) -> None:
    assert "content type" in refusal(encode_item(a_command()), content_type=content_type)
