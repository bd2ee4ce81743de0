"""How long callers may go on calling an instance that every Eureka node shows as OUT_OF_SERVICE.

Three caches stand between the registry and a request, one behind the other, so that their ages add up. What is not in
the window: the request that is sent in its last moment, and the time until every node shows OUT_OF_SERVICE, which is
milliseconds unless something is broken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The longest ages of the three caches; their sum is how long a pod must go on serving."""

    server_cache: timedelta
    client_fetch: timedelta
    load_balancer: timedelta

    @property
    def length(self) -> timedelta:
        """From OUT_OF_SERVICE to the last request that is sent."""
        return self.server_cache + self.client_fetch + self.load_balancer

    @property
    def whole_seconds(self) -> int:
        """The length as a hook can sleep it: rounded up."""
        return math.ceil(self.length.total_seconds())


@dataclass(frozen=True, slots=True)
class Windows:
    """The window of each Eureka app: the usual one, unless it has its own."""

    usual: Window
    of_apps: Mapping[str, Window] = field(default_factory=dict)
    """By the app's name in upper case, as Eureka keeps it."""

    def of(self, app: str) -> Window:
        """The app's window; an app that is not known has the usual one."""
        return self.of_apps.get(app.upper(), self.usual)
