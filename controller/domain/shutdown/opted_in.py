"""Which namespaces have the components drain-window and eureka-clients, and whether what they say of caches fits.

The policies themselves run in the API server (manifests/components); this is what doctor says of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from controller.domain.durations import parse_duration

WINDOW_LABEL = "eureka.drain/window"
CLIENTS_LABEL = "eureka.drain/clients"
ENABLED = "enabled"
WINDOW_NOTE = "eureka.drain/window"
SHORTEST = {
    "eureka.drain/client-fetch": timedelta(seconds=1),
    "eureka.drain/load-balancer": timedelta(seconds=1),
    "eureka.drain/server-cache": timedelta(0),
}
"""The ages of caches that a namespace may say, and the shortest ones that can be followed."""
LONGEST = timedelta(hours=1)
MAX_NAMED = 5
"""Namespaces that a sentence names; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """What a namespace says to the policies."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_window(self) -> bool:
        """Whether drain-window gives its pods the window."""
        return self.labels.get(WINDOW_LABEL) == ENABLED

    @property
    def has_clients(self) -> bool:
        """Whether eureka-clients gives its pods quick caches."""
        return self.labels.get(CLIENTS_LABEL) == ENABLED

    @property
    def has_own_window(self) -> bool:
        """Whether it says its window itself: then nothing is concluded from its callers' caches."""
        return _is_followed(self.annotations.get(WINDOW_NOTE, ""), timedelta(0), off=True)


def component_notes(namespaces: Iterable[Namespace], in_use: frozenset[str]) -> tuple[str, ...]:
    """Say where a namespace has one component without the other, or says what cannot be followed.

    ``in_use``: the namespaces that have pods; the others call nobody.
    """
    used = sorted((one for one in namespaces if one.name in in_use), key=lambda one: one.name)
    slow = [one.name for one in used if not one.has_clients]
    notes = [note for one in used for note in _not_followed(one)]
    for one in used:
        if one.has_clients and not one.has_window:
            notes.append(
                f"namespace {one.name}: its callers have quick caches ({CLIENTS_LABEL}={ENABLED}), but its own pods "
                f"get no time until they are forgotten: label it {WINDOW_LABEL}={ENABLED}, too"
            )
        elif one.has_window and not one.has_clients and not one.has_own_window:
            notes.append(
                f"namespace {one.name}: its pods wait for callers with stock caches; where all of its callers are in "
                f"namespaces with {CLIENTS_LABEL}={ENABLED}, label it so, too, and its window becomes shorter"
            )
        elif one.has_window and one.has_clients and not one.has_own_window and slow:
            notes.append(
                f"namespace {one.name}: its window counts on callers with quick caches. Where one of its callers is in "
                f"{_some(slow)}, or outside of this cluster, label that namespace {CLIENTS_LABEL}={ENABLED}, or "
                f"annotate {one.name} with the window that the slowest caller needs: {WINDOW_NOTE}=95s for stock caches"
            )
    return tuple(notes)


def _not_followed(namespace: Namespace) -> list[str]:
    """Say of each annotation that cannot be followed that it does not count."""
    notes = []
    for name, least in {WINDOW_NOTE: timedelta(0), **SHORTEST}.items():
        text = namespace.annotations.get(name)
        if text is not None and not _is_followed(text, least, off=name == WINDOW_NOTE):
            notes.append(
                f"namespace {namespace.name}: the annotation {name}={text[:40]!r} does not count: write a number and a "
                f"unit, {'0s' if not least else '1s'} at least and 1h at most"
            )
    return notes


def _is_followed(text: str, least: timedelta, *, off: bool) -> bool:
    if off and text.strip().lower() == "off":
        return True
    try:
        return least <= parse_duration(text) <= LONGEST
    except ValueError:
        return False


def _some(names: list[str]) -> str:
    rest = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" or {rest} others" if rest > 0 else "")
