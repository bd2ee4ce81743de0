"""A list of instances is read piece by piece: however it is cut, however large it is, and whatever it is in truth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.bounds import INSTANCE_COST, MAX_INSTANCE_BYTES, MAX_TEXT_LENGTH, PIECE_BYTES
from controller.eureka.registry_decoder import NonsenseError
from controller.eureka.registry_reader import cost_of
from tests.unit.registries import LIST, PLENTY, a_list, an_entry, registry_read

TRICKY = [
    an_entry(1, metadata={"routes": '[{"path": "}],{"}]', "quote": '\\"', "end": "\\"}),
    an_entry(2, metadata={"größe": "日本 \U0001f600", "nested": {"a": [{"b": [1, {"c": "]"}]}]}}),
    an_entry(3, hostName='"instance":[{'),
]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100, 10_000])
def test_a_list_is_the_same_however_it_is_cut(piece: int) -> None:
    body = LIST % b",".join(b'{"name": "ORDERS" , "instance" : [ %s ] }' % b" , ".join(TRICKY) for _ in range(3))
    found = registry_read(body, piece=piece)
    assert [one.id for one in found.instances] == ["orders-1", "orders-2", "orders-3"] * 3
    assert found.instances[2].host_name == '"instance":[{'
    assert found.counted == "UP_1_"
    assert found.cost == 9 * INSTANCE_COST


@pytest.mark.parametrize("size", [MAX_INSTANCE_BYTES, 3 * MAX_INSTANCE_BYTES])
@pytest.mark.parametrize("metadata", ["x", '"', "\\"])
def test_an_instance_that_is_too_large_does_not_hide_the_others(metadata: str, size: int) -> None:
    large = an_entry(1, metadata={"text": metadata * size})
    body = LIST % b'{"instance":[%s,%s,%s]}' % (an_entry(0), large, an_entry(2))
    assert [one.id for one in registry_read(body).instances] == ["orders-0", "orders-2"]


def test_nothing_but_an_instance_that_is_too_large_is_nonsense() -> None:
    body = LIST % b'{"instance":%s}' % an_entry(1, metadata={"text": "x" * MAX_INSTANCE_BYTES})
    with pytest.raises(NonsenseError, match="an instance of more than 128 KiB"):
        registry_read(body)


def test_more_than_there_is_room_for_is_refused_with_what_to_do_about_it() -> None:
    body = b"".join(a_list(11))
    assert len(registry_read(body, room=11 * INSTANCE_COST).instances) == 11
    with pytest.raises(NonsenseError, match=r"more than 11 instances.*raise its container's memory limit"):
        registry_read(body, room=11 * INSTANCE_COST - 1)


def test_a_long_text_is_cut_to_one_that_cannot_be_addressed_and_costs_more() -> None:
    [one] = registry_read(LIST % b'{"instance":%s}' % an_entry(instanceId="x" * 5_000, app="a" * 5_000)).instances
    assert (len(one.id), len(one.app)) == (MAX_TEXT_LENGTH + 1, MAX_TEXT_LENGTH + 1)
    assert cost_of(one) > 10 * INSTANCE_COST


def test_whoever_wants_the_fingerprint_only_keeps_no_instance() -> None:
    found = registry_read(b"".join(a_list(1_000)), room=None)
    assert (found.counted, found.instances) == ("UP_1_", [])


@pytest.mark.parametrize(
    "body",
    [
        (LIST % an_entry())[:-1],
        LIST % b'{"instance":[{"app":"A"',
        LIST % b'{"instance":["',
        LIST % b"" + b"{}",
        LIST % b"" + b"]",
        b'{"applications":{"application":"[]"}}',
        b'{"applications":[{"application":[]}]}',
        b'{"application":[]}',
        b'{"x\\"applications":{"application":[]}}',
        b'{"applications":{"application":[],}}',
        b'{"applications":{"application":[nul]}}',
        b"[" * PIECE_BYTES,
        b'{"applications":{"application":' + b"[" * 20,
    ],
)
def test_what_is_no_whole_list_is_nonsense(body: bytes) -> None:
    for room in (PLENTY, None):
        with pytest.raises(NonsenseError):
            registry_read(body, room=room)


def test_what_is_not_an_instance_of_an_application_is_none() -> None:
    entry = json.loads(an_entry())
    beside: dict[str, Any] = {"instance": [entry], "applications": {"instance": entry}}
    body = {"applications": {**beside, "application": [7, "x", None, {"name": "A", "other": beside}]}, "instance": 7}
    assert registry_read(json.dumps(body).encode()).instances == []
