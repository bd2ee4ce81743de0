"""How old what a region's nodes give to callers may be, as the nodes themselves report it.

A Spring Cloud server shows its effective settings at ``/actuator/configprops``, where that endpoint is exposed and its
values are shown. There is much else in that answer: nothing but these two is kept, and none of it is ever logged. What
is not reported is taken from our own settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from loguru import logger

from controller.errors import RegistryError
from controller.eureka.node import Node
from controller.eureka.registry_decoder import NonsenseError, whole_number
from controller.eureka.transport import UnreachableError

CONFIGPROPS_PATH = "/actuator/configprops/eureka.server"
REFRESH_INTERVAL = timedelta(minutes=5)
"""A server's settings change with its restart only."""
MAX_AGE_MS = 3_600_000
"""What is longer than an hour is no cache's age."""


class _Properties(msgspec.Struct, rename="camel"):
    response_cache_update_interval_ms: int | str | None = None
    use_read_only_response_cache: bool | str | None = None


class _Bean(msgspec.Struct):
    properties: _Properties = msgspec.field(default_factory=_Properties)


class _Context(msgspec.Struct):
    beans: dict[str, _Bean] = msgspec.field(default_factory=dict)


class _Settings(msgspec.Struct):
    contexts: dict[str, _Context]


_settings = msgspec.json.Decoder(_Settings)


class Caches:
    """The response caches of one region's nodes."""

    def __init__(self, *, region: str, nodes: Sequence[Node]) -> None:
        self._region = region
        self._nodes = nodes
        self._ages: dict[str, timedelta] = {}

    @property
    def age(self) -> timedelta | None:
        """The longest of all nodes; None while some node does not report it."""
        return max(self._ages.values()) if self._nodes and len(self._ages) == len(self._nodes) else None

    async def keep_fresh(self) -> None:
        """Ask for ever. A node that is away for a while has said what it said."""
        while True:
            before = self.age
            await asyncio.gather(*(self._ask(node) for node in self._nodes))
            if self.age != before:
                seconds = self.age.total_seconds() if self.age is not None else None
                logger.bind(region=self._region, seconds=seconds).info("the nodes' response caches")
            await asyncio.sleep(REFRESH_INTERVAL.total_seconds())

    async def _ask(self, node: Node) -> None:
        try:
            age = await read_age(node)
        except RegistryError as error:
            logger.bind(region=self._region, node=node.url, reason=str(error)).debug("its cache's age is not reported")
            if isinstance(error, UnreachableError):
                return  # it has said what it said
            age = None
        if age is None:
            self._ages.pop(node.url, None)
        else:
            self._ages[node.url] = age


async def read_age(node: Node) -> timedelta | None:
    """Ask one node; None where it does not report it. RegistryError when it does not answer, or answers nonsense."""
    return decode_age(await node.ask_server(CONFIGPROPS_PATH))


def decode_age(body: bytes | None) -> timedelta | None:
    """Read a server's settings; None where they are not there, or masked."""
    if body is None:
        return None
    try:
        contexts = _settings.decode(body).contexts.values()
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NonsenseError("its settings cannot be read") from error
    for bean in (bean for context in contexts for bean in context.beans.values()):
        shown = bean.properties
        if str(shown.use_read_only_response_cache).lower() == "false":
            return timedelta(0)
        milliseconds = whole_number(shown.response_cache_update_interval_ms)
        is_used = str(shown.use_read_only_response_cache).lower() == "true"
        if is_used and milliseconds is not None and 0 <= milliseconds <= MAX_AGE_MS:
            return timedelta(milliseconds=milliseconds)
    return None
