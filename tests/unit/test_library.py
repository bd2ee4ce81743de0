"""The Kubernetes client is used without the classes for every kind of object that it brings."""

from __future__ import annotations

import subprocess
import sys

import pytest

AS_USUAL = "from kubernetes_asyncio import client, config"
ALONE = """
import sys
from controller.kube.library import load_library
library = load_library()
modules = [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
configuration = library.Configuration(host="https://example")
print(len(modules), library.ApiClient.__module__, configuration.host, library.config.ConfigException.__name__)
"""


def told_by(*lines: str) -> list[str]:
    """Run a program, and return the words that it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout.split()


def test_nothing_is_imported_but_what_is_used() -> None:
    count, *rest = told_by(ALONE)
    assert int(count) < 30
    assert rest == ["kubernetes_asyncio.client.api_client", "https://example", "ConfigException"]


@pytest.mark.parametrize("lines", [(AS_USUAL, ALONE), (ALONE, ALONE)], ids=["after the whole", "twice"])
def test_it_is_the_same_whatever_was_imported_before(lines: tuple[str, ...]) -> None:
    assert told_by(*lines)[-3:] == ["kubernetes_asyncio.client.api_client", "https://example", "ConfigException"]
