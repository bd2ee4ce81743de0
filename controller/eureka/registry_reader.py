"""Reads a list of instances piece by piece, and never holds more of it than one instance.

A registry may have 100 MB, and what stands in a node's place may send anything. So the text is only split at its
brackets: each object below ``applications.application.instance`` is decoded by itself and forgotten, and what is left
of the text without them (the skeleton) is decoded at the end, which proves that it was a whole list.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import msgspec

from controller.bounds import (
    EXTRA_TEXT_COST,
    INSTANCE_COST,
    KIB,
    MAX_INSTANCE_BYTES,
    MAX_INSTANCES,
    MAX_REGISTRY_BYTES,
    MAX_REGISTRY_DEPTH,
    MAX_SKELETON_BYTES,
    MIB,
    USUAL_TEXT_LENGTH,
)
from controller.domain.instances import Instance
from controller.eureka.registry_decoder import NonsenseError, decode_registration, decoded

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_PLAIN = rb'[^"{}\[\]]*(?:%b[^"{}\[\]]*)*' % _TEXT
_UP_TO_BRACKET = re.compile(_PLAIN, re.DOTALL)
"""Whole strings, and what stands between them. It ends before a bracket, or before a string that is not whole yet."""
_WITHIN = rb"[{\[]%b[}\]]" % _PLAIN
_USUAL_INSTANCE = re.compile(rb"{%b(?:%b%b)*}" % (_PLAIN, _WITHIN, _PLAIN), re.DOTALL)
"""A whole one, as deep as Eureka writes it: with one look, and not from bracket to bracket."""
_REST_OF_TEXT = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_KEY = re.compile(rb'(?<!\\)"(applications|application|instance)"\s*:\s*\Z')
_KEY_BYTES = 64
_QUOTE, _OPENING = ord('"'), b"{["
_APPLICATION = "/applications/application"
_INSTANCE = f"{_APPLICATION}/instance"


class _Applications(msgspec.Struct):
    application: msgspec.Raw
    counted: str | None = msgspec.field(name="apps__hashcode", default=None)


class _Skeleton(msgspec.Struct):
    applications: _Applications


_skeleton = msgspec.json.Decoder(_Skeleton)


class RegistryList(NamedTuple):
    """What a list said."""

    instances: list[Instance]
    counted: str | None
    """How many instances of each status the server counts, as it writes that itself: ``DOWN_1_UP_7_``."""
    cost: int
    """Bytes that an index of these takes while it is made."""


class _Container(NamedTuple):
    """An object or a list outside of instances, by the names that lead to it."""

    is_list: bool
    path: str


class RegistryReader:
    """Takes one answer. ``room`` is what its instances may cost, in bytes; without any, they are passed over.

    ``clock_ahead`` is asked once the answer has begun: how far the node's clock is ahead of ours.
    """

    def __init__(self, *, clock_ahead: Callable[[], timedelta] = timedelta, room: int | None = None) -> None:
        self._clock_ahead = clock_ahead
        self._room = room
        self._instances: list[Instance] = []
        self._count = 0
        self._cost = 0
        self._unreadable: NonsenseError | None = None
        self._bytes = 0
        self._rest = b""
        """What has been taken and not been decoded."""
        self._seen = 0
        """How much of the rest has been split."""
        self._in_text = False
        self._in_instance = 0
        """How many brackets deep; 0 outside."""
        self._passes_over = False
        """The instance is too large, or none is wanted: nothing of it is kept."""
        self._containers: list[_Container] = []
        self._skeleton = bytearray()
        self._has_applications = False

    def feed(self, piece: bytes) -> None:
        """Take the next piece. NonsenseError when it cannot be a part of a registry, or is more than may be kept."""
        self._bytes += len(piece)
        if self._bytes > MAX_REGISTRY_BYTES:
            raise NonsenseError(f"a list of more than {MAX_REGISTRY_BYTES // MIB} MiB")
        body, at, begin = self._rest + piece, self._seen, 0
        while True:
            if self._in_text:
                at = _end(_REST_OF_TEXT, body, at)
                if at >= len(body) or body[at] != _QUOTE:
                    break  # at the end, or at a backslash that is the last byte
                at, self._in_text = at + 1, False
            at = _end(_UP_TO_BRACKET, body, at)
            if at == len(body):
                break
            char = body[at]
            at += 1
            if char == _QUOTE:
                self._in_text = True
            elif self._in_instance:
                self._in_instance += 1 if char in _OPENING else -1
                if not self._in_instance:
                    self._close_instance(body[begin:at])
                    begin = at
            else:
                begin = self._pass_bracket(body, begin, at)
                at = max(at, begin)
        if not self._in_instance:
            self._add_to_skeleton(body[begin:at])
            begin = at
        elif self._passes_over or at - begin > MAX_INSTANCE_BYTES:
            self._passes_over, begin = True, at
        self._rest, self._seen = body[begin:], at - begin

    def finish(self) -> RegistryList:
        """Return what came. NonsenseError unless it was a whole list."""
        if self._containers or self._in_instance or self._in_text:
            raise NonsenseError("not a registry's JSON (it breaks off)")
        whole = decoded(_skeleton, bytes(self._skeleton) + self._rest).applications
        if not self._has_applications:
            raise NonsenseError("not a registry's JSON (it has no list of applications)")
        if self._unreadable is not None and not self._instances:
            raise self._unreadable
        return RegistryList(self._instances, whole.counted, self._cost)

    def _pass_bracket(self, body: bytes, begin: int, at: int) -> int:
        """Go past a bracket outside of instances, or past an instance; return where what comes next begins."""
        if body[at - 1] not in _OPENING:
            if not self._containers:
                raise NonsenseError("not a registry's JSON (a bracket too many)")
            self._containers.pop()
            self._add_to_skeleton(body[begin:at])
            return at
        self._add_to_skeleton(body[begin : at - 1])
        is_list, path = body[at - 1] == ord("["), self._path()
        if path == _INSTANCE and not is_list:
            self._passes_over = self._room is None
            self._skeleton += b"0"
            self._count += 1
            if self._count > MAX_INSTANCES:
                raise NonsenseError(f"a list of more than {MAX_INSTANCES} instances")
            if usual := _USUAL_INSTANCE.match(body, at - 1):
                self._close_instance(usual[0])
                return usual.end()
            self._in_instance = 1
            return at - 1
        self._has_applications = self._has_applications or path == _APPLICATION
        self._containers.append(_Container(is_list=is_list, path=path))
        if len(self._containers) > MAX_REGISTRY_DEPTH:
            raise NonsenseError("not a registry's JSON (maximum depth exceeded)")
        self._skeleton += body[at - 1 : at]
        return at

    def _path(self) -> str:
        """Name what is about to be opened: what stands in a list has the list's name."""
        if not self._containers:
            return ""
        parent = self._containers[-1]
        key = None if parent.is_list else _KEY.search(self._skeleton[-_KEY_BYTES:])
        return parent.path if parent.is_list else f"{parent.path}/{key[1].decode() if key else ''}"

    def _add_to_skeleton(self, text: bytes) -> None:
        if len(self._skeleton) + len(text) > MAX_SKELETON_BYTES:
            raise NonsenseError(f"a list of which more than {MAX_SKELETON_BYTES // MIB} MiB are no instances")
        self._skeleton += text

    def _close_instance(self, text: bytes) -> None:
        if self._room is None:
            return
        try:
            if self._passes_over or len(text) > MAX_INSTANCE_BYTES:
                raise NonsenseError(f"an instance of more than {MAX_INSTANCE_BYTES // KIB} KiB")
            instance = decode_registration(text, self._clock_ahead())
        except NonsenseError as error:
            # It does not hide the others; but it has cost as much work as one of them.
            self._unreadable = self._unreadable or error
            self._cost += INSTANCE_COST
        else:
            self._instances.append(instance)
            self._cost += cost_of(instance)
        if self._cost > self._room:
            raise too_many(len(self._instances), self._room)


def cost_of(instance: Instance) -> int:
    """Return how many bytes an instance takes, beside its share of the lists that hold it."""
    length = sum(map(len, (instance.app, instance.id, instance.host_name, instance.ip, instance.pod_uid)))
    return INSTANCE_COST + EXTRA_TEXT_COST * max(0, length - USUAL_TEXT_LENGTH)


def too_many(count: int, room: int) -> NonsenseError:
    """Return the refusal of a registry that a process has no room for."""
    return NonsenseError(
        f"more than {count} instances, for which the {room // MIB} MiB are not enough that this process has for the "
        "region: raise its container's memory limit"
    )


def _end(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    found = pattern.match(body, at)
    return found.end() if found else at
