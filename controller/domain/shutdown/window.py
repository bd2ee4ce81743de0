"""How long callers may go on calling an instance that every Eureka node shows as OUT_OF_SERVICE.

Three caches stand between the registry and a request, one behind the other, so that their ages add up. What is not in
the window: the request that is sent in its last moment, and the time until every node shows OUT_OF_SERVICE, which is
milliseconds unless something is broken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The longest ages of the three caches; their sum is how long a pod must go on serving."""

    server_cache: timedelta
    client_fetch: timedelta
    load_balancer: timedelta
    annotated: timedelta | None = None
    """The whole of it, where the pod's annotation says what its callers need."""

    @property
    def length(self) -> timedelta:
        """Return the time from OUT_OF_SERVICE to the last request that is sent."""
        if self.annotated is not None:
            return self.annotated
        return self.server_cache + self.client_fetch + self.load_balancer

    @property
    def whole_seconds(self) -> int:
        """Return the length as a hook can sleep it: rounded up."""
        return math.ceil(self.length.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOverride:
    """What differs for one app, or for one region; None: as for all."""

    server_cache: timedelta | None = None
    client_fetch: timedelta | None = None
    load_balancer: timedelta | None = None

    def over(self, window: Window) -> Window:
        """Return the window with what differs."""
        return Window(
            server_cache=_first(self.server_cache, window.server_cache),
            client_fetch=_first(self.client_fetch, window.client_fetch),
            load_balancer=_first(self.load_balancer, window.load_balancer),
        )


@dataclass(frozen=True, slots=True)
class Windows:
    """The window of each Eureka app: the usual one, unless its region or the app itself has its own."""

    usual: Window
    of_apps: Mapping[str, WindowOverride] = field(default_factory=dict)
    """By the app's name in upper case, as Eureka keeps it."""
    of_regions: Mapping[str, WindowOverride] = field(default_factory=dict)

    def of(
        self, app: str, *regions: str, annotated: timedelta | None = None, server_cache: timedelta | None = None
    ) -> Window:
        """Return the longest window of the app in these regions; what is not known of them is as usual.

        ``annotated``: what the pod's annotation says that its callers need. ``server_cache``: the age of the server's
        cache as the region's own nodes report it, which know it best.
        """
        own = self.of_apps.get(app.upper(), WindowOverride())
        windows = [
            own.over(self.of_regions.get(region, WindowOverride()).over(self.usual)) for region in regions or ("",)
        ]
        longest = max(windows, key=lambda window: window.length)
        return replace(longest, annotated=annotated, server_cache=_first(server_cache, longest.server_cache))


STOCK = Windows(
    Window(server_cache=timedelta(seconds=30), client_fetch=timedelta(seconds=30), load_balancer=timedelta(seconds=35))
)
"""The defaults of servers, clients and Spring Cloud LoadBalancer; see docs/window.md."""


def _first(own: timedelta | None, usual: timedelta) -> timedelta:
    return usual if own is None else own
