"""Which namespaces have the components drain-window and eureka-clients, and whether what they say of caches fits.

The policies themselves run in the API server (manifests/components); this is what doctor says of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from controller.domain.annotations import window_in
from controller.domain.durations import format_duration, parse_duration

WINDOW_LABEL = "eureka.drain/window"
CLIENTS_LABEL = "eureka.drain/clients"
ENABLED = "enabled"
DISABLED = frozenset({"", "disabled", "false", "off", "no"})
"""Values of a label that nobody means to switch anything on by."""
WINDOW_NOTE = "eureka.drain/window"
FETCH_NOTE, BALANCER_NOTE = "eureka.drain/client-fetch", "eureka.drain/load-balancer"
SERVER_NOTE = "eureka.drain/server-cache"
LEAST = {FETCH_NOTE: timedelta(seconds=1), BALANCER_NOTE: timedelta(seconds=1), SERVER_NOTE: timedelta(0)}
"""The ages of caches that a namespace may say, and the shortest ones that the policies follow."""
MAX_AGE = timedelta(minutes=15)
USUAL = {FETCH_NOTE: timedelta(seconds=5), BALANCER_NOTE: timedelta(seconds=1), SERVER_NOTE: timedelta(seconds=30)}
"""What the policies take where a namespace does not say it, unless an overlay has changed that."""
SPARE = timedelta(seconds=2)
MAX_NAMED = 5
"""Namespaces that a sentence names; the others are counted."""
_AGE = re.compile(r"[0-9]{1,9}([.][0-9]{1,6})?(ms|s|m|h)", re.ASCII)


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
    def says_its_window(self) -> bool:
        """Whether its own annotation is its window, or switches it off; else its callers' caches make it."""
        return _window_of(self.annotations.get(WINDOW_NOTE, "")) is not None

    @property
    def own_window(self) -> timedelta:
        """What its annotation says; zero where it says nothing, or ``off``."""
        return _window_of(self.annotations.get(WINDOW_NOTE, "")) or timedelta(0)

    @property
    def client_age(self) -> timedelta:
        """How old what its pods call by may become: the fetch and the load balancer."""
        return self.age(FETCH_NOTE) + self.age(BALANCER_NOTE)

    @property
    def window_of_caches(self) -> timedelta:
        """The window that drain-window makes of the ages."""
        return self.client_age + self.age(SERVER_NOTE) + SPARE

    def age(self, name: str) -> timedelta:
        """Return the age of a cache as the policies take it."""
        said = _age_of(self.annotations.get(name, ""), LEAST[name])
        return USUAL[name] if said is None else said


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceUse:
    """What runs in a namespace, of the pods that are watched."""

    pods: int = 0
    """Living ones that call: all but static ones."""
    slow_pods: int = 0
    """Those of them that have none of the caches, or slower ones than the namespace says."""
    lacks_time: bool = False
    """A workload there ends serving too early."""


def component_notes(namespaces: Iterable[Namespace], in_use: Mapping[str, NamespaceUse]) -> tuple[str, ...]:
    """Say where a namespace has one component without the other, or says what cannot be followed, or does not fit.

    ``in_use``: the namespaces that have pods; the others call nobody.
    """
    used = sorted((one for one in namespaces if one.name in in_use), key=lambda one: one.name)
    notes = [note for one in used for note in (*_not_followed(one), *_of_one(one, in_use[one.name]))]
    quick = [one for one in used if one.has_window and one.has_clients and not one.says_its_window]
    if quick and (slow := _slower_than(quick, used)):
        notes.append(
            f"{_some(quick)}: the window counts on callers whose caches are no older than those of the namespace that "
            f"is called. In {_some(slow)} they are older. If pods there are callers, label their namespace "
            f"{CLIENTS_LABEL}={ENABLED} with the same ages, and restart its workloads; or annotate the namespace that "
            f"is called with the window of its slowest caller: {WINDOW_NOTE}=95s for stock caches"
        )
    return tuple(notes)


def _of_one(namespace: Namespace, use: NamespaceUse) -> list[str]:
    name, notes = f"namespace {namespace.name}", []
    if namespace.has_clients and not namespace.has_window and use.lacks_time:
        notes.append(
            f"{name}: what its pods call is cached briefly ({CLIENTS_LABEL}={ENABLED}), but pods of its own end before "
            f"their callers have forgotten them. Label it {WINDOW_LABEL}={ENABLED}, too, and restart its workloads"
        )
    if namespace.has_window and not namespace.has_clients and not namespace.says_its_window:
        notes.append(
            f"{name}: its pods wait for callers with stock caches. If all who call them are in namespaces with "
            f"{CLIENTS_LABEL}={ENABLED}, give it that label, too, and restart its workloads: its window is then "
            f"{format_duration(namespace.window_of_caches)}"
        )
    is_quick = namespace.has_window and namespace.has_clients
    if is_quick and timedelta(0) < namespace.own_window < namespace.window_of_caches:
        notes.append(
            f"{name}: its own window ({WINDOW_NOTE}={format_duration(namespace.own_window)}) is shorter than its "
            f"caches allow, {format_duration(namespace.window_of_caches)}. Remove the annotation, or make it longer"
        )
    if namespace.has_clients and use.slow_pods:
        notes.append(
            f"{name}: {use.slow_pods} of its {use.pods} pods have not the caches that it says, or slower ones of their "
            f"own. Restart their workloads if these were there before the label; if that changes nothing, the policy "
            f"eureka-drain-clients is not installed, or their manifests set the variables"
        )
    return notes


def _slower_than(quick: list[Namespace], used: list[Namespace]) -> list[Namespace]:
    """Return the namespaces whose pods may know a called one for longer than it waits for that."""
    least = min(one.client_age for one in quick)
    return [one for one in used if not one.has_clients or one.client_age > least]


def _not_followed(namespace: Namespace) -> list[str]:
    """Say of each annotation and label that is not followed that it does nothing."""
    name, notes = f"namespace {namespace.name}", []
    for label in (WINDOW_LABEL, CLIENTS_LABEL):
        value = namespace.labels.get(label, "")
        if value != ENABLED and value.lower() not in DISABLED:
            notes.append(f"{name}: the label {label}={value} does nothing; {label}={ENABLED} does")
    text = namespace.annotations.get(WINDOW_NOTE)
    if text is not None and _window_of(text) is None:
        notes.append(
            f"{name}: the annotation {WINDOW_NOTE}={text[:40]!r} does nothing: write a number and a unit (ms, s, m), "
            f'at most 1h, or "off"'
        )
    for note, least in LEAST.items():
        text = namespace.annotations.get(note)
        if text is not None and _age_of(text, least) is None:
            notes.append(
                f"{name}: the annotation {note}={text[:40]!r} does nothing: write a number and a unit (ms, s, m, h), "
                f"{format_duration(least)} at least and {format_duration(MAX_AGE)} at most"
            )
    return notes


def _window_of(text: str) -> timedelta | None:
    """Read a window as drain-window does; None for what it does not follow."""
    if text.strip().lower() == "off":
        return timedelta(0)
    return window_in(text)


def _age_of(text: str, least: timedelta) -> timedelta | None:
    """Read an age as the policies do, which know no days; None for what they do not follow."""
    if not _AGE.fullmatch(text.strip()):
        return None
    try:
        age = parse_duration(text)
    except ValueError:  # longer than any duration of ours
        return None
    return age if least <= age <= MAX_AGE else None


def _some(namespaces: list[Namespace]) -> str:
    names = [one.name for one in namespaces[:MAX_NAMED]]
    rest = len(namespaces) - MAX_NAMED
    words = [*names, f"{rest} more"] if rest > 0 else names
    kind = "namespace" if len(namespaces) == 1 else "namespaces"
    return f"{kind} {' and '.join(filter(None, (', '.join(words[:-1]), words[-1])))}"
