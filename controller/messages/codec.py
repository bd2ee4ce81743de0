"""Between the domain's commands and events and the bytes on the wire. Strict, bounded, and it says why."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar, assert_never

import msgspec

from controller.bounds import MAX_BODY_BYTES
from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem
from controller.domain.events import Event, LogEntry, PodGoneEvent, TakeoverEvent
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.sweep_report import SweepReport
from controller.domain.watch_position import Position
from controller.errors import MessageError
from controller.messages import v1, v1_reports

COMMAND_TYPE = "drain.command"
RESTORE_TYPE = "drain.restore"
EVENT_TYPE = "drain.event"
TAKEOVER_TYPE = "drain.takeover"
GONE_TYPE = "drain.gone"
POSITION_TYPE = "drain.position"
END_TYPE = "drain.end"
SWEEP_TYPE = "drain.sweep"
CONTENT_TYPE = "application/json"
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What is raised of a body that is none of ours."""

Message = TypeVar(
    "Message", DrainCommand, RestoreCommand, Event, TakeoverEvent, PodGoneEvent, Position, PodEnd, SweepReport
)


class _Versioned(msgspec.Struct):
    version: int


_encoder = msgspec.json.Encoder()
_version_decoder = msgspec.json.Decoder(_Versioned)
_command_decoder = msgspec.json.Decoder(v1.CommandV1)
_restore_decoder = msgspec.json.Decoder(v1.RestoreV1)
_event_decoder = msgspec.json.Decoder(v1.EventV1)
_takeover_decoder = msgspec.json.Decoder(v1.TakeoverV1)
_gone_decoder = msgspec.json.Decoder(v1.PodGoneV1)
_position_decoder = msgspec.json.Decoder(v1.PositionV1)
_end_decoder = msgspec.json.Decoder(v1_reports.PodEndV1)
_sweep_decoder = msgspec.json.Decoder(v1_reports.SweepReportV1)


def encode_item(item: WorkItem) -> bytes:
    """Write a work item in the newest version."""
    return _encode(item, v1.CommandV1 if isinstance(item, DrainCommand) else v1.RestoreV1)


def encode_entry(entry: LogEntry) -> bytes:
    """Write an entry of the event log in the newest version."""
    match entry:
        case Event():
            return _encode(entry, v1.EventV1)
        case TakeoverEvent():
            return _encode(entry, v1.TakeoverV1)
        case PodGoneEvent():
            return _encode(entry, v1.PodGoneV1)
        case _:
            assert_never(entry)


def encode_position(position: Position) -> bytes:
    """Write a position in the newest version."""
    return _encode(position, v1.PositionV1)


def decode_position(body: bytes, _: str | None = None) -> Position:
    """Read a position; MessageError says why it is none of ours."""
    return _decode(body, CONTENT_TYPE, POSITION_TYPE, _position_decoder, Position)


def encode_end(end: PodEnd) -> bytes:
    """Write a pod's end in the newest version."""
    return _encode(end, v1_reports.PodEndV1)


def decode_end(body: bytes, _: str | None = None) -> PodEnd:
    """Read a pod's end; MessageError says why it is none of ours."""
    return _decode(body, CONTENT_TYPE, END_TYPE, _end_decoder, PodEnd)


def encode_sweep(report: SweepReport) -> bytes:
    """Write what a pass of the sweep came to in the newest version."""
    return _encode(report, v1_reports.SweepReportV1)


def decode_sweep(body: bytes) -> SweepReport:
    """Read what a pass of the sweep came to; MessageError says why it is none of ours."""
    return _decode(body, CONTENT_TYPE, SWEEP_TYPE, _sweep_decoder, SweepReport)


def type_of(message: WorkItem | LogEntry) -> str:
    """Return the message type."""
    match message:
        case DrainCommand():
            return COMMAND_TYPE
        case RestoreCommand():
            return RESTORE_TYPE
        case Event():
            return EVENT_TYPE
        case TakeoverEvent():
            return TAKEOVER_TYPE
        case PodGoneEvent():
            return GONE_TYPE
        case _:
            assert_never(message)


def decode_item(body: bytes, *, type_: str | None, content_type: str | None) -> WorkItem:
    """Read a work item; MessageError says why it is none of ours."""
    if type_ == COMMAND_TYPE:
        return _decode(body, content_type, type_, _command_decoder, DrainCommand)
    if type_ == RESTORE_TYPE:
        return _decode(body, content_type, type_, _restore_decoder, RestoreCommand)
    raise MessageError(f"message type {_shown(type_)} is neither {COMMAND_TYPE!r} nor {RESTORE_TYPE!r}")


def decode_entry(body: bytes, type_: str | None = EVENT_TYPE) -> LogEntry:
    """Read an entry of the event log; MessageError says why it is none of ours."""
    if type_ == TAKEOVER_TYPE:
        return _decode(body, CONTENT_TYPE, type_, _takeover_decoder, TakeoverEvent)
    if type_ == GONE_TYPE:
        return _decode(body, CONTENT_TYPE, type_, _gone_decoder, PodGoneEvent)
    return _decode(body, CONTENT_TYPE, EVENT_TYPE, _event_decoder, Event)


def check_size(body: bytes) -> None:
    """Raise MessageError where a body is longer than any of ours."""
    if len(body) > MAX_BODY_BYTES:
        raise MessageError(f"the body has {len(body)} bytes, more than {MAX_BODY_BYTES}")


def _decode(
    body: bytes, content_type: str | None, type_: str, decoder: msgspec.json.Decoder[Any], meant: type[Message]
) -> Message:
    if content_type != CONTENT_TYPE:
        raise MessageError(f"content type {_shown(content_type)} is not {CONTENT_TYPE!r}")
    check_size(body)
    try:
        return msgspec.convert(decoder.decode(body), meant, from_attributes=True)
    except UNREADABLE as error:
        raise MessageError(_why_unreadable(body, type_, error)) from error


def _why_unreadable(body: bytes, type_: str, error: Exception) -> str:
    with suppress(*UNREADABLE):
        version = _version_decoder.decode(body).version
        if version != 1:
            return f"version {version} is unknown; this program reads 1"
    return f"not a valid {type_}: {str(error)[:300]}"


def _encode(message: WorkItem | LogEntry | Position | PodEnd | SweepReport, wire: type[msgspec.Struct]) -> bytes:
    fields = msgspec.to_builtins(message, builtin_types=(datetime,))
    return _encoder.encode(msgspec.convert({"version": 1, **fields}, wire, strict=False))


def _shown(text: str | None) -> str:
    return "(none)" if text is None else repr(text[:80])
