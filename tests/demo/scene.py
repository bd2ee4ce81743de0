"""What is deployed: two apps with the stock Eureka client, one that deregisters at its end and one that does not.

`orders` deregisters itself at SIGTERM, as Spring does by default. `payments` ends at SIGTERM without a word, as in a
crash: its dead instances would stay registered, and UP, for minutes. They are the controller's to delete.

Order of events: both are created, become ready, show UP at both nodes, and then show in the nodes' response caches,
which are up to 30 s old and are what callers (and the controller's index) are served from. Then comes the restart.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until
from tests.stack.workloads import deployment, java_service, pod_spec

PORT = 8080
PRE_STOP_SECONDS = 5
RENEWAL_SECONDS = 2
#: A lease may end by itself no sooner than this after the last heartbeat: what went before did not go that way.
LEASE_SECONDS = 90

_FLAGS = (
    f"--eureka.instance.lease-renewal-interval-in-seconds={RENEWAL_SECONDS}",
    f"--eureka.instance.lease-expiration-duration-in-seconds={LEASE_SECONDS}",
    "--spring.jmx.enabled=false",
    "--spring.main.banner-mode=off",
)


@dataclass(frozen=True)
class App:
    """One Deployment."""

    name: str
    replicas: int
    silent: bool = False
    """Ends without telling Eureka."""
    flags: tuple[str, ...] = ()

    def instance_id(self, ip: str) -> str:
        """As java_service registers it."""
        return f"{ip}:{self.name}:{PORT}"


APPS = {
    app.name: app
    for app in (
        App("orders", 3),
        # With should-unregister-on-shutdown=false it would still say DOWN.
        App("payments", 2, silent=True, flags=("--spring.main.register-shutdown-hook=false",)),
    )
}

RESTART = ("rollout", "restart", *(f"deployment/{app}" for app in APPS))


async def deploy(cluster: Cluster, eureka: EurekaNodes, program: Sequence[str]) -> None:
    """Create the Deployments."""
    for app in APPS.values():
        service = java_service(
            app.name,
            eureka.urls,
            program,
            port=PORT,
            flags=[*_FLAGS, *app.flags],
            # Longer than the drain takes. In real life it covers the callers' caches, too.
            lifecycle={"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        )
        await cluster.client.create("deployments", deployment(app.name, pod_spec(service), replicas=app.replicas))


async def registered(cluster: Cluster, eureka: EurekaNodes, report_progress: ReportProgress) -> None:
    """Wait until every instance is UP at every node, and then until callers are given all of them."""
    count = sum(app.replicas for app in APPS.values())
    reported = 0

    async def all_up() -> bool:
        nonlocal reported
        up = 0
        for app in APPS.values():
            for pod in await cluster.client.list("pods", labels=f"app={app.name}"):
                ip = pod["status"].get("podIP")
                up += bool(ip) and set(await eureka.statuses(app.name, app.instance_id(ip))) == {"UP"}
        if up != reported:
            report_progress(f"instances UP at both Eureka nodes: {up} of {count}")
            reported = up
        return up == count

    await until(all_up, f"{count} instances UP at both nodes", timeout=180, interval=0.5)
    report_progress("waiting for both nodes' response caches to show them: up to 30 s")

    async def all_served() -> bool:
        answers = await asyncio.gather(*(node.registry.apps() for node in eureka.nodes))
        return all(
            len([one for one in apps.get(app.name.upper(), []) if one["status"] == "UP"]) == app.replicas
            for apps in answers
            for app in APPS.values()
        )

    await until(all_served, "the response caches to show all instances", timeout=90, interval=0.5)


async def restart(cluster: Cluster) -> None:
    """Of all apps at once."""
    await cluster.kubectl(*RESTART)
