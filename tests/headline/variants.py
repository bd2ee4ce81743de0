"""The four ways to roll out the same service, and what is set differently in each. All else is the same and stock.

Each has its own namespace, Deployment and caller, all three by the variant's key; one pair of Eureka nodes is stock,
another tuned. The pods are those of the sample service with the stock client: renewal, lease and fetch as they come,
but where a component says otherwise; no manifest of a service or of a caller does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STOCK, TUNED = "eu", "tuned"
"""The two Eureka regions."""
REPLICAS = 5
PORT = 8080
PER_SECOND = 50
"""Calls of each caller."""

SERVER_SETTINGS: Mapping[str, Mapping[str, str]] = {TUNED: {"eureka.server.use-read-only-response-cache": "false"}}
"""Of each region's nodes."""
FETCH_SECONDS = 3
"""How often the tuned callers fetch, by an annotation of their namespace; else eureka-clients gives them 5 s."""
BALANCER_SECONDS = 1
"""How old what their load balancer keeps may be: what eureka-clients gives them."""
TUNED_WINDOW_SECONDS = 6
"""Server cache off + fetch 3 s + load balancer 1 s = 4 s, and 2 s for what these intervals leave out: the fetch itself
(the next one is due 3 s after the last one has ended) and timers and threads that wait for a processor."""


@dataclass(frozen=True)
class Variant:
    """`key` names its namespace, its Deployment and its Eureka app."""

    key: str
    title: tuple[str, str]
    """Two lines of a column's head."""
    region: str = STOCK
    drained: bool = False
    """The controller watches its namespace, and the policy gives its pods the window."""
    copies_hook: bool = False
    grace_seconds: int = 30
    ages: Mapping[str, str] = field(default_factory=dict)
    """How old the namespace says that caches may be; empty: nothing, and the policies have it."""
    quick: bool = False
    """eureka-clients gives its pods and its caller quick caches."""

    def instance_id(self, ip: str) -> str:
        """As the sample service registers."""
        return f"{ip}:{self.key}:{PORT}"

    def lifecycle(self, first_node: str) -> dict[str, Any] | None:
        """What the manifest says; for the drained ones nothing."""
        if not self.copies_hook:
            return None
        instance = f"$POD_IP:{self.key}:{PORT}"
        where = f"{first_node}/apps/{self.key.upper()}/{instance}/status?value=OUT_OF_SERVICE"
        return {"preStop": {"exec": {"command": ["sh", "-c", f'curl -sX PUT "{where}"; sleep 30']}}}

    @property
    def labels(self) -> dict[str, str]:
        """Of its namespace."""
        window = {"eureka.drain/window": "enabled"} if self.drained else {}
        return window | ({"eureka.drain/clients": "enabled"} if self.quick else {})

    @property
    def annotations(self) -> dict[str, str]:
        """Of its namespace."""
        return {f"eureka.drain/{cache}": age for cache, age in self.ages.items()}


VARIANTS = (
    Variant("nothing", ("nothing", "")),
    # As people who copy it set it: longer than the hook.
    Variant("copied", ("copied hook", ""), copies_hook=True, grace_seconds=60),
    Variant("drained", ("eureka-drain", ""), drained=True),
    Variant(
        "tuned",
        ("eureka-drain,", "both components"),
        region=TUNED,
        drained=True,
        ages={"server-cache": "0s", "client-fetch": f"{FETCH_SECONDS}s"},
        quick=True,
    ),
)
