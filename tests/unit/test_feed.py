"""Which namespaces are watched."""

from __future__ import annotations

from typing import cast

import pytest

from controller.kube.client import KubeApi
from controller.kube.feed import feeds
from controller.settings import WatchSettings
from tests.unit.building import at


def watched(namespaces: list[str], excluded: list[str]) -> list[str]:
    """The namespace of each feed; empty: all of them."""
    settings = WatchSettings(namespaces=namespaces, exclude_namespaces=excluded)
    return [feed._namespace for feed in feeds(cast("KubeApi", None), settings, clock=lambda: at(0))]


@pytest.mark.parametrize(
    ("namespaces", "excluded", "expected"),
    [
        ([], ["kube-system"], [""]),
        (["shop"], ["kube-system"], ["shop"]),
        (["shop", "bank"], ["bank"], ["shop"]),
    ],
)
def test_the_named_namespaces_are_watched_or_all(
    namespaces: list[str], excluded: list[str], expected: list[str]
) -> None:
    assert watched(namespaces, excluded) == expected


def test_excluding_every_named_namespace_is_an_error_not_a_watch_of_all() -> None:
    with pytest.raises(ValueError, match="every namespace of"):
        watched(["kube-system"], ["kube-system"])


def test_a_namespace_that_is_named_twice_is_watched_once() -> None:
    assert watched(["shop", "shop"], []) == ["shop"]
