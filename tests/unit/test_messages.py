"""The wire: round trips, the pinned bytes of version 1, and what is no message of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.events import Event, Outcome, make_event
from controller.domain.instances import Condition
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.takeover import WorkItem
from controller.errors import MessageError
from controller.messages import v1
from controller.messages.codec import (
    COMMAND_TYPE,
    CONTENT_TYPE,
    MAX_BODY_BYTES,
    decode_end,
    decode_event,
    decode_item,
    encode_end,
    encode_event,
    encode_item,
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
from tests.unit.messages_drawn import commands, targets, words

GOLDEN = Path(__file__).parent / "golden"


def decoded(body: bytes, type_: str | None = COMMAND_TYPE, content_type: str | None = CONTENT_TYPE) -> WorkItem:
    return decode_item(body, type_=type_, content_type=content_type)


def refusal(body: bytes, type_: str | None = COMMAND_TYPE, content_type: str | None = CONTENT_TYPE) -> str:
    with pytest.raises(MessageError) as caught:
        decoded(body, type_, content_type)
    return str(caught.value)


@given(commands)
def test_a_command_comes_back_as_it_was_sent(command: DrainCommand) -> None:
    assert decoded(encode_item(command)) == command


@given(commands, st.sampled_from(Outcome), words, st.none() | targets, st.integers(1, 100))
def test_an_event_says_on_the_wire_what_it_said(
    command: DrainCommand, outcome: Outcome, reason: str, target: Target | None, attempt: int
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
        assert decode_event(encode_event(event)) == event
    wire = msgspec.json.decode(encode_event(event), type=v1.EventV1)
    assert wire.version == 1
    for name in Event.__dataclass_fields__:
        if name not in ("nodes", "facts"):
            assert getattr(wire, name) == getattr(event, name), name
    assert [(node.node, node.condition, node.detail) for node in wire.nodes] == [
        (node.node, node.condition, node.detail) for node in event.nodes
    ]


def full_command() -> DrainCommand:
    pod = terminating(
        a_pod(
            subdomain="orders",
            host_network=True,
            app_label="orders",
            finished_at=at(20),
            disruption="EvictionByEvictionAPI",
            annotations={"app": "orders", "region": "eu", "retention": "90s"},
            owner=STATEFUL_SET,
        )
    )
    target = a_target(
        stage=Stage.retire,
        due_at=at(35.5),
        renewals={"http://eureka-0:8761/eureka": at(80)},
        looked_at=at(0.5),
        attempt=2,
        trouble="http://eureka-1:8761/eureka: unreachable",
        trouble_since=at(1),
    )
    progress = a_progress(target, attempt=3, trouble="t", first_look_at=at(0.25))
    other = a_living_pod(host_network=True, ports=(8080, 9090))
    return a_command(
        pod, living=(other,), requested_by="ana", requested_at=at(-1), requested_why="late", progress=progress
    )


def full_event() -> Event:
    return make_event(
        full_command(),
        Outcome.out_of_service,
        at(0.75),
        reason="why",
        target=a_target(attempt=2),
        nodes=readings(out(), None, Condition.failing),
        retention_ends_at=at(330),
        safe_at=at(95.75),
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
        at=at(3),
        ended_at=at(2),
        end_cause=EndCause.no_hook,
        why="it has no preStop hook",
    )


def first_event() -> Event:
    """How a drain begins: with all that a replay needs."""
    return make_event(full_command(), Outcome.requested, at(0), published_at=at(0.1))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("command.v1.json", encode_item(full_command())),
        ("event.v1.json", encode_event(full_event())),
        ("requested.v1.json", encode_event(first_event())),
        ("end.v1.json", encode_end(full_end())),
    ],
)
def test_the_bytes_of_version_1_are_frozen(name: str, body: bytes) -> None:
    assert body == (GOLDEN / name).read_bytes().rstrip(b"\n")


def test_a_command_that_was_written_by_the_first_release_is_still_read() -> None:
    assert decoded((GOLDEN / "command.v1.json").read_bytes()) == full_command()


def test_an_end_that_was_written_by_the_first_release_is_still_read() -> None:
    assert decode_end((GOLDEN / "end.v1.json").read_bytes()) == full_end()


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
def test_a_command_with_any_field_replaced_is_read_or_refused_and_nothing_else(name: str, value: Any) -> None:
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
