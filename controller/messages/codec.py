"""Between the domain's commands and events and the bytes on the wire. Strict, bounded, and it says why."""

from __future__ import annotations

from datetime import datetime

import msgspec

from controller.domain.commands import Command
from controller.domain.events import Event
from controller.errors import MessageError
from controller.messages import v1

COMMAND_TYPE = "drain.command"
EVENT_TYPE = "drain.event"
CONTENT_TYPE = "application/json"
LARGEST_BODY = 256 * 1024
"""Bytes. A command with 64 instances and 20 living pods stays below half of it."""


class _Versioned(msgspec.Struct):
    version: int


_encoder = msgspec.json.Encoder()
_version_decoder = msgspec.json.Decoder(_Versioned)
_command_decoder = msgspec.json.Decoder(v1.Command)


def encode_command(command: Command) -> bytes:
    """Write a command in the newest version."""
    return _encode(command, v1.Command)


def encode_event(event: Event) -> bytes:
    """Write an event in the newest version."""
    return _encode(event, v1.Event)


def decode_command(body: bytes, *, type_: str | None, content_type: str | None) -> Command:
    """Read a command; MessageError says why it is none of ours."""
    if type_ != COMMAND_TYPE:
        raise MessageError(f"message type {_shown(type_)} is not {COMMAND_TYPE!r}")
    if content_type != CONTENT_TYPE:
        raise MessageError(f"content type {_shown(content_type)} is not {CONTENT_TYPE!r}")
    if len(body) > LARGEST_BODY:
        raise MessageError(f"the body has {len(body)} bytes, more than {LARGEST_BODY}")
    try:
        version = _version_decoder.decode(body).version
        if version != 1:
            raise MessageError(f"version {version} is unknown; this program reads 1")
        return msgspec.convert(_command_decoder.decode(body), Command, from_attributes=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MessageError(f"not a valid {COMMAND_TYPE}: {str(error)[:300]}") from error


def _encode(thing: Command | Event, wire: type[msgspec.Struct]) -> bytes:
    fields = msgspec.to_builtins(thing, builtin_types=(datetime,))
    return _encoder.encode(msgspec.convert({"version": 1, **fields}, wire, strict=False))


def _shown(text: str | None) -> str:
    return "(none)" if text is None else repr(text[:80])
