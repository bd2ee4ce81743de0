"""What doctor says of the components that namespaces have, and of what they say to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.domain.shutdown.opted_in import (
    CLIENTS_LABEL,
    MAX_NAMED,
    WINDOW_LABEL,
    Namespace,
    NamespaceUse,
    component_notes,
)

BOTH = {WINDOW_LABEL: "enabled", CLIENTS_LABEL: "enabled"}
WINDOW, CLIENTS = {WINDOW_LABEL: "enabled"}, {CLIENTS_LABEL: "enabled"}
BUSY = NamespaceUse(pods=2)


def notes(*namespaces: Namespace, use: Mapping[str, NamespaceUse] | None = None) -> tuple[str, ...]:
    return component_notes(namespaces, {one.name: BUSY for one in namespaces} if use is None else use)


def a_namespace(name: str = "shop", labels: Any = None, **annotations: str) -> Namespace:
    said = {f"eureka.drain/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return Namespace(name=name, labels=labels or {}, annotations=said)


@pytest.mark.parametrize(
    ("labels", "lacks_time", "said"),
    [
        ({}, True, ""),
        ({WINDOW_LABEL: "disabled", CLIENTS_LABEL: "off"}, True, ""),
        ({WINDOW_LABEL: "true"}, True, f"the label {WINDOW_LABEL}=true does nothing; {WINDOW_LABEL}=enabled does"),
        (CLIENTS, True, "Label it eureka.drain/window=enabled, too, and restart its workloads"),
        (CLIENTS, False, ""),
        (WINDOW, False, "its window is then 38s"),
        (BOTH, True, ""),
    ],
)
def test_one_component_without_the_other_is_said(labels: dict[str, str], lacks_time: bool, said: str) -> None:
    found = notes(a_namespace(labels=labels), use={"shop": NamespaceUse(pods=1, lacks_time=lacks_time)})
    assert [said in note and note.startswith("namespace shop: ") for note in found] == ([True] if said else [])


def test_slow_callers_are_named_once_unless_the_window_is_made_for_them() -> None:
    others = [a_namespace(f"other-{number}") for number in range(MAX_NAMED + 1)]
    called = [a_namespace(name, BOTH) for name in ("orders", "stock")]
    (note,) = notes(*called, *others)
    assert note.startswith("namespaces orders and stock: the window counts on callers")
    assert "In namespaces other-0, other-1, other-2, other-3, other-4 and 1 more they are older" in note
    assert "95s for stock caches" in note
    for window in ("95s", "off"):
        assert notes(a_namespace(labels=BOTH, window=window), *others) == ()
    use = {one.name: BUSY for one in called}
    assert notes(*called, *others, use=use) == (), "nobody is there who could call"


@pytest.mark.parametrize(("fetch", "is_slow"), [("5s", False), ("4s", False), ("60s", True)])
def test_a_caller_with_older_caches_than_whom_it_calls_is_slow(fetch: str, is_slow: bool) -> None:
    found = notes(a_namespace(labels=BOTH), a_namespace("gateway", CLIENTS, client_fetch=fetch))
    assert ["In namespace gateway they are older" in note for note in found] == [True] * is_slow


@pytest.mark.parametrize(("window", "is_too_short"), [("10s", True), ("38s", False), ("off", False), ("0s", False)])
def test_a_window_that_is_shorter_than_the_caches_beside_it_is_said(window: str, is_too_short: bool) -> None:
    found = notes(a_namespace(labels=BOTH, window=window))
    assert ["is shorter than its caches allow, 38s" in note for note in found] == [True] * is_too_short


def test_pods_without_the_caches_are_counted() -> None:
    use = {"shop": NamespaceUse(pods=12, slow_pods=3)}
    (note,) = notes(a_namespace(labels=CLIENTS), use=use)
    assert "3 of its 12 pods have not the caches that it says" in note
    assert notes(a_namespace(), use=use) == ()


def test_what_cannot_be_followed_is_said_with_what_could_be() -> None:
    said = {"window": "forever", "client_fetch": "500ms", "load_balancer": "16m", "server_cache": "0.001d"}
    found = notes(a_namespace(**said))
    assert [note.split()[4].split("=")[0] for note in found] == [
        "eureka.drain/window",
        "eureka.drain/client-fetch",
        "eureka.drain/load-balancer",
        "eureka.drain/server-cache",
    ]
    assert ["15m at most" in note for note in found] == [False, True, True, True]
    assert len(notes(a_namespace(window="999999999d", client_fetch="999999999h", server_cache="5 s\n" * 99))) == 3
    assert notes(a_namespace(window=" OFF", client_fetch="1s", load_balancer="0.25h", server_cache="0s")) == ()
