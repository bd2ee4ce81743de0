"""What doctor says of the components that namespaces have, and of what they say to them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.domain.shutdown.opted_in import CLIENTS_LABEL, MAX_NAMED, WINDOW_LABEL, Namespace, component_notes

BOTH = {WINDOW_LABEL: "enabled", CLIENTS_LABEL: "enabled"}
WINDOW, CLIENTS = {WINDOW_LABEL: "enabled"}, {CLIENTS_LABEL: "enabled"}


def notes(*namespaces: Namespace, unused: tuple[str, ...] = ()) -> tuple[str, ...]:
    return component_notes(namespaces, frozenset(one.name for one in namespaces if one.name not in unused))


def a_namespace(name: str = "shop", labels: Any = None, **annotations: str) -> Namespace:
    said = {f"eureka.drain/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return Namespace(name=name, labels=labels or {}, annotations=said)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, ""),
        ({WINDOW_LABEL: "disabled", CLIENTS_LABEL: "on"}, ""),
        (CLIENTS, "its own pods get no time"),
        (WINDOW, "its window becomes shorter"),
        (BOTH, ""),
    ],
)
def test_one_component_without_the_other_is_said(labels: dict[str, str], said: str) -> None:
    found = notes(a_namespace(labels=labels))
    assert [said in note and note.startswith("namespace shop: ") for note in found] == ([True] if said else [])


def test_slow_callers_are_named_unless_the_window_is_made_for_them() -> None:
    others = [a_namespace(f"other-{number}") for number in range(MAX_NAMED + 2)]
    (note,) = notes(a_namespace(labels=BOTH), *others)
    assert "in other-0, other-1, other-2, other-3, other-4 or 2 others, or outside" in note
    assert "annotate shop with the window" in note
    for window in ("95s", "off"):
        assert notes(a_namespace(labels=BOTH, window=window), *others) == ()
    unused = tuple(one.name for one in others)
    assert notes(a_namespace(labels=BOTH), *others, unused=unused) == (), "nobody is there who could call"


def test_what_cannot_be_followed_is_said_with_what_could_be() -> None:
    said = {"window": "forever", "client_fetch": "500ms", "load_balancer": "2h", "server_cache": ""}
    found = notes(a_namespace(**said))
    assert [note.split()[4].split("=")[0] for note in found] == [
        "eureka.drain/window",
        "eureka.drain/client-fetch",
        "eureka.drain/load-balancer",
        "eureka.drain/server-cache",
    ]
    assert all("1h at most" in note for note in found)
    assert notes(a_namespace(window=" OFF", client_fetch="1s", load_balancer="1h", server_cache="0s")) == ()
