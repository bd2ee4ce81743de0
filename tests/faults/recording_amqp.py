"""One AMQP 0-9-1 connection, cut into frames: publishes and acknowledgements are the side effects.

A publish is three kinds of frames (method, header, body), and only all of them are one: they stay together. Its answer
is the broker's confirm, whose numbers are counted here as the broker counts them: per channel, from `confirm.select`.

Trap: an `ack` of the event stream only asks for more, so it is no side effect; whose it is shows in the delivery.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from controller.messages.groups import parts_of
from tests.faults.recording_units import Effect, Piece, Unit

_PREFACE = b"AMQP\x00\x00\x09\x01"
_METHOD, _HEADER, _BODY = 1, 2, 3
_PUBLISH, _ACK, _REJECT, _NACK = (60, 40), (60, 80), (60, 90), (60, 120)
_CONSUME, _CONSUME_OK, _DELIVER = (60, 20), (60, 21), (60, 60)
_GET, _GET_OK, _GET_EMPTY = (60, 70), (60, 71), (60, 72)
_CHANNEL_OPEN, _CONFIRM_SELECT = (20, 10), (85, 10)
EVENTS, COMMANDS, DELAY = "drain.events", "drain.commands", "drain.delay"


@dataclass(frozen=True)
class _Frame:
    kind: int
    channel: int
    payload: bytes
    raw: bytes

    @property
    def method(self) -> tuple[int, int] | None:
        if self.kind != _METHOD:
            return None
        class_, method = struct.unpack_from(">HH", self.payload)
        return class_, method


@dataclass
class _Publish:
    exchange: str
    key: str
    raw: bytes
    size: int = -1
    type: str = ""
    body: bytes = b""

    @property
    def complete(self) -> bool:
        return len(self.body) == self.size


@dataclass
class _Channel:
    confirming: bool = False
    published: int = 0
    unconfirmed: set[int] = field(default_factory=set)
    publish: _Publish | None = None
    queues: dict[str, str] = field(default_factory=dict)
    """By consumer tag."""
    unnamed: list[str] = field(default_factory=list)
    """Queues whose consumer's tag the broker is about to give."""
    asked: list[str] = field(default_factory=list)
    """Queues that a single message was asked of, in order."""
    deliveries: dict[int, str] = field(default_factory=dict)
    """The queue of each delivery, by its number."""


class AmqpTalk:
    """Both directions of one connection to the broker."""

    def __init__(self, region: str) -> None:
        """`region` is left out of the kinds."""
        self._region = region
        self._channels: dict[int, _Channel] = {}
        self._sent = b""
        self._answered = b""
        self._greeted = False

    def sent(self, data: bytes) -> list[Unit]:
        """The frames, and the whole publishes, that are complete by now."""
        self._sent += data
        found = []
        if not self._greeted:
            if len(self._sent) < len(_PREFACE):
                return []
            found.append(Unit(self._sent[: len(_PREFACE)]))
            self._sent = self._sent[len(_PREFACE) :]
            self._greeted = True
        frames, self._sent = _cut(self._sent)
        for frame in frames:
            found += self._taken(frame)
        return found

    def answered(self, data: bytes) -> list[Piece]:
        """The frames that are complete by now, with the publishes that they confirm."""
        self._answered += data
        frames, self._answered = _cut(self._answered)
        return [Piece(frame.raw, frozenset(self._confirmed(frame))) for frame in frames]

    def _channel(self, number: int) -> _Channel:
        return self._channels.setdefault(number, _Channel())

    def _taken(self, frame: _Frame) -> Iterator[Unit]:
        channel = self._channel(frame.channel)
        if frame.method == _PUBLISH:
            exchange, at = _short_string(frame.payload, 6)
            key, _ = _short_string(frame.payload, at)
            channel.publish = _Publish(exchange, key, frame.raw)
            return
        if channel.publish is not None and frame.kind in (_HEADER, _BODY):
            publish = channel.publish
            publish.raw += frame.raw
            if frame.kind == _HEADER:
                publish.size = struct.unpack_from(">Q", frame.payload, 4)[0]
                publish.type = _type_property(frame.payload)
            else:
                publish.body += frame.payload
            if publish.complete:
                channel.publish = None
                yield self._published(frame.channel, channel, publish)
            return
        self._note(frame, channel)
        yield Unit(frame.raw, effect=self._settled(frame, channel))

    def _note(self, frame: _Frame, channel: _Channel) -> None:
        if frame.method == _CHANNEL_OPEN:
            self._channels[frame.channel] = _Channel()
        elif frame.method == _CONFIRM_SELECT:
            channel.confirming = True
        elif frame.method == _CONSUME:
            queue, at = _short_string(frame.payload, 6)
            tag, _ = _short_string(frame.payload, at)
            if tag:
                channel.queues[tag] = queue
            else:
                channel.unnamed.append(queue)
        elif frame.method == _GET:
            channel.asked.append(_short_string(frame.payload, 6)[0])

    def _published(self, number: int, channel: _Channel, publish: _Publish) -> Unit:
        answer = None
        if channel.confirming:
            channel.published += 1
            channel.unconfirmed.add(channel.published)
            answer = (number, channel.published)
        where = publish.exchange or publish.key
        comes_back = where == COMMANDS or where.startswith(DELAY)
        kind = f"publish {_place(where)} {_subject(where, publish)}"
        return Unit(publish.raw, effect=Effect(kind, publish.body, in_flight=int(comes_back)), answer=answer)

    def _settled(self, frame: _Frame, channel: _Channel) -> Effect | None:
        if frame.method not in (_ACK, _NACK, _REJECT):
            return None
        tag, bits = struct.unpack_from(">QB", frame.payload, 4)
        multiple = frame.method != _REJECT and bool(bits & 1)
        requeue = (frame.method == _NACK and bool(bits & 2)) or (frame.method == _REJECT and bool(bits & 1))
        tags = [one for one in channel.deliveries if one == tag or (multiple and (one <= tag or tag == 0))]
        queues = [channel.deliveries.pop(one) for one in tags]
        if queues and all(queue == EVENTS for queue in queues):
            return None
        verb = {_ACK: "ack", _NACK: "nack", _REJECT: "reject"}[frame.method]
        mine = sum(queue == f"{COMMANDS}.{self._region}" for queue in queues)
        what = " ".join(sorted({queue.removesuffix(f".{self._region}") for queue in queues}))
        return Effect(f"{verb} {what}".rstrip(), in_flight=0 if requeue else -mine)

    def _confirmed(self, frame: _Frame) -> Iterator[tuple[int, int]]:
        channel = self._channel(frame.channel)
        if frame.method == _CONSUME_OK and channel.unnamed:
            tag, _ = _short_string(frame.payload, 4)
            channel.queues[tag] = channel.unnamed.pop(0)
        elif frame.method == _DELIVER:
            tag, at = _short_string(frame.payload, 4)
            channel.deliveries[struct.unpack_from(">Q", frame.payload, at)[0]] = channel.queues.get(tag, "")
        elif frame.method == _GET_OK:
            channel.deliveries[struct.unpack_from(">Q", frame.payload, 4)[0]] = channel.asked.pop(0)
        elif frame.method == _GET_EMPTY:
            channel.asked.pop(0)
        elif frame.method in (_ACK, _NACK):
            tag_number, bits = struct.unpack_from(">QB", frame.payload, 4)
            settled = {one for one in channel.unconfirmed if one == tag_number or (bits & 1 and one <= tag_number)}
            channel.unconfirmed -= settled
            yield from ((frame.channel, one) for one in settled)


def _cut(data: bytes) -> tuple[list[_Frame], bytes]:
    frames = []
    at = 0
    while len(data) - at >= 7:
        kind, channel, size = struct.unpack_from(">BHI", data, at)
        end = at + 7 + size + 1
        if len(data) < end:
            break
        assert data[end - 1] == 0xCE, "not an AMQP frame"
        frames.append(_Frame(kind, channel, data[at + 7 : end - 1], data[at:end]))
        at = end
    return frames, data[at:]


def _short_string(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(), end


def _type_property(header: bytes) -> str:
    """The `type` among a content header's properties, which stand in the order of their flags."""
    (flags,) = struct.unpack_from(">H", header, 12)
    at = 14
    for bit in range(15, 5, -1):
        if not flags & (1 << bit):
            continue
        if bit == 13:  # headers
            at += 4 + struct.unpack_from(">I", header, at)[0]
        elif bit in (12, 11):  # delivery mode, priority
            at += 1
        elif bit == 6:  # timestamp
            at += 8
        else:
            at += 1 + header[at]
    return _short_string(header, at)[0] if flags & (1 << 5) else ""


def _place(where: str) -> str:
    # How long it waits depends on the run; that it waits does not.
    return DELAY if where.startswith(DELAY) else where


def _subject(where: str, publish: _Publish) -> str:
    """What the message is about: the outcome of its first event, a command's next stage, else its type."""
    try:
        if where == EVENTS:
            first, type_ = parts_of(publish.body, publish.type)[0]
            return str(json.loads(first).get("outcome", type_))
        body = json.loads(publish.body)
        targets = (body.get("progress") or {}).get("targets") or []
        if targets:
            return f"{publish.type} → {', '.join(sorted({target['stage'] for target in targets}))}"
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return publish.type
