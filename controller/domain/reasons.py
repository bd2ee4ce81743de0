"""Of which kind is the reason that an event gives? A few names for what people read in many words.

Reasons name pods, addresses and nodes, so they cannot be counted; their kinds can. What a reason says is decided where
it arises; here it is only recognised, by how its text begins. A text that nobody has entered below is of the kind
``other``: a test goes through every reason in the code and fails on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from controller.domain.events import Event, Outcome
from controller.domain.instances import Condition


class Kind(StrEnum):
    """Why an instance was not taken out of service, or not deleted."""

    annotation = "annotation"
    """An annotation of the pod's that cannot be followed."""
    no_region = "no_region"
    """The pod asks for every region, and the watch knows none."""
    not_its_own = "not_its_own"
    """Nothing proves that the instance is the pod's."""
    ambiguous = "ambiguous"
    """Its id also stands for an instance of another app."""
    not_addressable = "not_addressable"
    """Its app or id cannot be put into a URL."""
    implausible = "implausible"
    """More instances, or a longer address, than a pod can have."""
    last_instance = "last_instance"
    """A person asked for the last one of an app that is UP."""
    heartbeats = "heartbeats"
    """It was silent when the sweep or a person asked for it, and is not any more."""
    taken_over = "taken_over"
    """A newer process holds the id."""
    denied = "denied"
    """A node answered 401 or 403."""
    unreachable = "unreachable"
    """A node gave no answer."""
    failing = "failing"
    """A node gave an answer that is none."""
    not_taken = "not_taken"
    """A node accepted what was written, and went on giving the instance to callers."""
    comes_back = "comes_back"
    """It was put back in service, or registered, each time."""
    held_back = "held_back"
    """So many of one app were asked for that this one's turn never came."""
    mistake = "mistake"
    """An error in this program."""
    dropped = "dropped"
    """A person dropped its dead letter."""
    other = "other"
    """A reason that is not entered here."""


BEGINNINGS: Mapping[str, Kind] = {
    "annotation ": Kind.annotation,
    "it asks for every region": Kind.no_region,
    "not addressable: ": Kind.not_addressable,
    "ambiguous: ": Kind.ambiguous,
    "not believed: ": Kind.implausible,
    "the pod would own ": Kind.implausible,
    "its address ": Kind.not_its_own,
    "it was registered before the pod was created": Kind.not_its_own,
    "the pod is on its node's network": Kind.not_its_own,
    "it is the last instance of ": Kind.last_instance,
    "it heartbeats: ": Kind.heartbeats,
    "it is back after each DELETE": Kind.comes_back,
    "it was back in service": Kind.comes_back,
    "held back: ": Kind.held_back,
    "unexpected ": Kind.mistake,
    "dropped from the dead letters": Kind.dropped,
}
"""What the texts of refusals and failures begin with; none of these is the beginning of another."""

_NODE = re.compile(rf"https?://\S+: ({'|'.join(Condition)})\b")
"""What one node says, in a text of ``drain.trouble_of``."""
_OF_A_NODE = {
    Condition.denied: Kind.denied,
    Condition.unreachable: Kind.unreachable,
    Condition.failing: Kind.failing,
    Condition.in_service: Kind.not_taken,
}
"""Where nodes differ, the first of these counts: what retries mend least."""

OF = {
    Outcome.refused: (
        Kind.annotation,
        Kind.no_region,
        Kind.not_its_own,
        Kind.ambiguous,
        Kind.not_addressable,
        Kind.implausible,
        Kind.last_instance,
        Kind.heartbeats,
    ),
    Outcome.superseded: (Kind.taken_over,),
    Outcome.failed: (
        Kind.denied,
        Kind.unreachable,
        Kind.failing,
        Kind.not_taken,
        Kind.comes_back,
        Kind.held_back,
        Kind.mistake,
        Kind.dropped,
    ),
}
"""The outcomes that leave an instance as it is, with the kinds of their reasons."""


def kind_of(event: Event) -> Kind | None:
    """The kind of an event's reason; None for an outcome that is none of the three in ``OF``."""
    match event.outcome:
        case Outcome.superseded:
            return Kind.taken_over  # whatever spoke against the old one
        case Outcome.refused | Outcome.failed:
            return _recognised(event.reason)
        case _:
            return None


def _recognised(reason: str) -> Kind:
    for beginning, kind in BEGINNINGS.items():
        if reason.startswith(beginning):
            return kind
    said = set(_NODE.findall(reason))
    return next((kind for condition, kind in _OF_A_NODE.items() if condition in said), Kind.other)
