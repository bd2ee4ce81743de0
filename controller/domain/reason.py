"""Why something was not done, or not yet: a code that metrics, filters and alerts count by, and a text for people.

A reason gets its code where it arises; its text may change at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ReasonCode(StrEnum):
    """The codes: a fixed set, part of the public contract."""

    # Why a drain, or an instance, was refused or left alone.
    invalid_annotation = "invalid_annotation"
    """An annotation of the pod cannot be followed."""
    no_region = "no_region"
    """The pod asks for every region, and the watch knows none."""
    not_its_own = "not_its_own"
    """Nothing proves that the instance is the pod's."""
    ambiguous = "ambiguous"
    """The id also stands for an instance of another app."""
    not_addressable = "not_addressable"
    """The app or the id cannot be put into a URL."""
    implausible = "implausible"
    """More instances, or a longer address, than a pod can have."""
    last_instance = "last_instance"
    """A person asked for the last instance of an app that is UP."""
    heartbeats = "heartbeats"
    """The instance was silent when the sweep or a person asked for it, and is not any more."""
    taken_over = "taken_over"
    """A newer process holds the id."""
    shared_id = "shared_id"
    """The id goes on renewing after the pod's proved end: other processes hold it too."""
    already_out = "already_out"
    """It was out of service before the drain: whoever set that keeps it, and a successor is not put back."""
    # What stands in the way, or why a drain was given up.
    denied = "denied"
    """A node answered 401 or 403."""
    unreachable = "unreachable"
    """A node gave no answer."""
    bad_answer = "bad_answer"
    """A node gave an answer that is none of a registry's."""
    still_in_service = "still_in_service"
    """A node accepted what was written, and goes on giving the instance to callers."""
    comes_back = "comes_back"
    """The instance was registered again after each DELETE."""
    back_in_service = "back_in_service"
    """The instance was given to callers again after it had been out; it was taken out once more."""
    rate_limited = "rate_limited"
    """So many instances of the app were asked for that this one has to wait (guard.max_percent_per_minute)."""
    invalid_message = "invalid_message"
    """A message on the queue is none of ours, or of another version."""
    internal_error = "internal_error"
    """An error in this program."""
    dropped = "dropped"
    """A person dropped the dead letter."""
    # What explains a good end.
    not_found = "not_found"
    """The region holds no instance of the pod."""
    absent = "absent"
    """No node holds the instance any more."""
    ended_before = "ended_before"
    """It had ended so before a person asked for it again."""
    other = "other"
    """A code of a newer version."""

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003 - whatever it is
        # A message of a newer version must stay readable.
        return cls("other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A code with its text; ``str`` gives the text."""

    code: ReasonCode
    detail: str = ""

    def __str__(self) -> str:
        return self.detail or self.code.value.replace("_", " ")


_STUBBORNNESS = (
    ReasonCode.denied,
    ReasonCode.unreachable,
    ReasonCode.bad_answer,
    ReasonCode.still_in_service,
)
"""Where nodes differ, the first of these counts: what retries fix least."""


def combine(reasons: Iterable[Reason]) -> Reason:
    """Join what several nodes say; at least one reason."""
    every = list(reasons)
    code = min(
        (one.code for one in every),
        key=lambda code: _STUBBORNNESS.index(code) if code in _STUBBORNNESS else len(_STUBBORNNESS),
    )
    return Reason(code=code, detail="; ".join(str(one) for one in every))
