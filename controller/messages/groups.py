"""Entries of the event log that are written together: one message holds many, each with its type and its version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from controller.bounds import MAX_GROUPED
from controller.errors import MessageError
from controller.messages.codec import UNREADABLE, check_size
from controller.messages.v1 import Short

GROUP_TYPE = "drain.entries"
Part = tuple[bytes, str | None]
"""The body and the type of one entry."""


class GroupedV1(Struct, frozen=True, kw_only=True):
    """One of the entries, as it would stand alone."""

    type: Short
    entry: Raw


class GroupV1(Struct, frozen=True, kw_only=True):
    """Type ``drain.entries``, in version 1. Once it has been released it does not change."""

    version: Literal[1]
    entries: Annotated[tuple[GroupedV1, ...], Meta(min_length=1, max_length=MAX_GROUPED)]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(GroupV1)


def encode_group(parts: Sequence[tuple[bytes, str]]) -> bytes:
    """Write entries as one message."""
    entries = tuple(GroupedV1(type=type_, entry=Raw(body)) for body, type_ in parts)
    return _encoder.encode(GroupV1(version=1, entries=entries))


def parts_of(body: bytes, type_: str | None) -> Sequence[Part]:
    """Return the entries of a message, in order; MessageError says why a group is none of ours.

    What each of them is, and whether it is readable at all, only decoding it tells.
    """
    if type_ != GROUP_TYPE:
        return ((body, type_),)
    check_size(body)
    try:
        group = _decoder.decode(body)
    except UNREADABLE as error:
        raise MessageError(f"not a valid {GROUP_TYPE}: {str(error)[:300]}") from error
    return [(bytes(one.entry), one.type) for one in group.entries]
