"""What is used of the Kubernetes client: how it finds its configuration, and how it sends a request.

Its packages import a class for every kind of object that there is, some 850 modules: 34 MB, and 0.4 s of CPU at each
start. Nothing of that is used here, where kube/pod_decoder reads bytes. So the packages are entered without it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, NamedTuple

_PACKAGES = ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.client.models")
"""Whose own code does nothing but import all that is below them."""


class Library(NamedTuple):
    """Of the library, by its own names."""

    Configuration: Any
    ApiClient: Any
    config: Any


def load_library() -> Library:
    """Import what is used. A process that has imported the packages as usual gets the same from them."""
    for name in _PACKAGES:
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            assert spec is not None, f"{name} is a dependency"
            sys.modules[name] = importlib.util.module_from_spec(spec)
    client: Any = sys.modules["kubernetes_asyncio.client"]
    client.Configuration = importlib.import_module("kubernetes_asyncio.client.configuration").Configuration
    client.ApiClient = importlib.import_module("kubernetes_asyncio.client.api_client").ApiClient
    # It takes these two from the package.
    config = importlib.import_module("kubernetes_asyncio.config")
    return Library(client.Configuration, client.ApiClient, config)
