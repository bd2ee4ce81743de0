"""Many entries in one message: read as if each stood alone, and what is none of ours takes no other along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controller.bounds import MAX_BODY_BYTES, MAX_GROUPED
from controller.domain.events import LogEntry
from controller.errors import MessageError
from controller.messages.codec import EVENT_TYPE, GONE_TYPE, TAKEOVER_TYPE, decode_entry, encode_entry, type_of
from controller.messages.groups import GROUP_TYPE, encode_group, parts_of
from tests.unit.test_messages import full_event, full_gone, full_takeover

GOLDEN = Path(__file__).parent / "golden" / "entries.v1.json"
ALL = (full_event(), full_takeover(), full_gone())


def group(*entries: LogEntry) -> bytes:
    return encode_group([(encode_entry(one), type_of(one)) for one in entries])


def test_the_bytes_of_version_1_are_frozen() -> None:
    assert group(*ALL) == GOLDEN.read_bytes().rstrip(b"\n")


def test_each_entry_of_a_group_is_as_it_would_stand_alone() -> None:
    parts = parts_of(GOLDEN.read_bytes(), GROUP_TYPE)
    assert list(parts) == [(encode_entry(one), type_of(one)) for one in ALL]
    assert [type_ for _, type_ in parts] == [EVENT_TYPE, TAKEOVER_TYPE, GONE_TYPE]


@pytest.mark.parametrize("type_", [EVENT_TYPE, TAKEOVER_TYPE, "else", None])
def test_what_is_no_group_is_one_entry(type_: str | None) -> None:
    assert list(parts_of(b"whatever", type_)) == [(b"whatever", type_)]


ONE = {"type": EVENT_TYPE, "entry": json.loads(encode_entry(full_event()))}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"version": 2, "entries": [ONE]},
        {"version": 1, "entries": []},
        {"version": 1, "entries": [ONE] * (MAX_GROUPED + 1)},
        {"version": 1, "entries": {"0": ONE}},
        {"version": 1, "entries": [{"type": 7, "entry": {}}]},
        {"version": 1, "entries": [{"type": "x" * 300, "entry": {}}]},
    ],
)
def test_a_group_that_is_none_of_ours_is_refused(body: Any) -> None:
    with pytest.raises(MessageError, match=r"drain\.entries"):
        parts_of(json.dumps(body).encode(), GROUP_TYPE)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b'{"version": 1, "entries": ['])
def test_bytes_that_are_no_document_are_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        parts_of(body, GROUP_TYPE)


def test_a_group_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageError, match="more than"):
        parts_of(b" " * (MAX_BODY_BYTES + 1), GROUP_TYPE)


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "made up later", "entry": {"version": 1}},
        {"type": EVENT_TYPE, "entry": 7},
        {"type": GROUP_TYPE, "entry": {"version": 1, "entries": [ONE]}},
    ],
)
def test_an_entry_that_is_none_of_ours_takes_no_other_along(bad: dict[str, Any]) -> None:
    parts = parts_of(json.dumps({"version": 1, "entries": [ONE, bad, ONE]}).encode(), GROUP_TYPE)
    first, other, last = parts
    assert decode_entry(*first).drain_id == decode_entry(*last).drain_id == full_event().drain_id
    with pytest.raises(MessageError):
        decode_entry(*other)
