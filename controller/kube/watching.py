"""One watch, until the server ends it: its events as bytes. Whatever says that it went wrong raises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from controller.errors import KubernetesError
from controller.kube.client import ExpiredError, KubeApi
from controller.kube.pod_decoder import decode_event, decode_failure

READ_TIMEOUT = 13.0
"""Seconds of silence after which the connection is taken for dead: a watch is asked for at most 10 s."""


async def watch_events(
    api: KubeApi, path: str, selectors: Mapping[str, str], version: str, *, seconds: int
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield each event since a version: its type, and the object. ExpiredError when the server has forgotten it."""
    query = {
        **selectors,
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(seconds),
    }
    async for line in api.lines(path, query, read_timeout=READ_TIMEOUT):
        kind, body = decode_event(line)
        if kind == "ERROR":
            code, text = decode_failure(body)
            raise (ExpiredError if code == 410 else KubernetesError)(text)
        yield kind, body
