"""Our NetworkPolicies where something enforces them: they let through what they name, and nothing else.

Everything else in this folder runs under them, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cluster.ending import address_of, is_of, living
from tests.cluster.home import API_SERVICE, INFRA, PRODUCT, SHOP
from tests.cluster.scene import Scene, is_living
from tests.stack.processes import ProcessError
from tests.stack.waiting import until

PAGE, METRICS, EUREKA, SERVICE, API, BROKER = 8080, 8081, 8761, 8080, 443, 5672
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


async def connects(scene: Scene, role: str, address: str, port: int) -> bool:
    """Whether a pod of this role may open a connection."""
    words = (
        "-n",
        PRODUCT,
        "exec",
        f"deployment/eureka-drain-{role}",
        "--",
        "python3",
        "-c",
        CONNECT,
        address,
        f"{port}",
    )
    return await ends_well(scene, *words)


async def is_let_in(scene: Scene, address: str, port: int) -> bool:
    """Whether a pod of the shop is answered."""
    [pod, *_] = await living(scene, "orders")
    curl = ("curl", "--silent", "--output", "/dev/null", "--max-time", "3", f"http://{address}:{port}/livez")
    return await ends_well(scene, "-n", SHOP, "exec", pod["metadata"]["name"], "--", *curl)


async def ends_well(scene: Scene, *words: str) -> bool:
    try:
        await scene.kubectl(*words)
    except ProcessError:
        return False
    return True


@asynccontextmanager
async def labelled(scene: Scene, label: str) -> AsyncIterator[None]:
    """The shop's namespace bears a label, by which our policy lets it in."""
    await scene.kubectl("label", "namespace", SHOP, f"{label}=true", "--overwrite")
    try:
        yield
    finally:
        await scene.kubectl("label", "namespace", SHOP, f"{label}-")


async def test_each_role_reaches_what_it_needs_and_nothing_else(shop: Scene) -> None:
    [orders, *_] = await living(shop, "orders")
    [eureka, *_] = [one for one in await shop.pods(INFRA) if one["metadata"]["name"].startswith("eureka-")]
    [broker, *_] = [one for one in await shop.pods(INFRA) if one["metadata"]["name"].startswith("rabbitmq-")]
    places = {
        "API server": (API_SERVICE, API),
        "Eureka": (address_of(eureka), EUREKA),
        "RabbitMQ": (address_of(broker), BROKER),
        "a service": (address_of(orders), SERVICE),
    }
    reached = {
        role: {name for name, place in places.items() if await connects(shop, role, *place)}
        for role in ("watch", "work", "ops")
    }
    assert reached == {
        "watch": {"API server", "RabbitMQ"},
        "work": {"Eureka", "RabbitMQ"},
        "ops": {"API server", "Eureka", "RabbitMQ"},
    }


async def test_the_page_and_the_metrics_let_in_whom_their_labels_name(shop: Scene) -> None:
    [ops] = [one for one in await shop.pods(PRODUCT) if is_of(one, "ops") and is_living(one)]
    address = address_of(ops)

    async def who_is_in() -> tuple[bool, bool]:
        return await is_let_in(shop, address, PAGE), await is_let_in(shop, address, METRICS)

    async def becomes(expected: tuple[bool, bool]) -> None:
        async def look() -> bool:
            return await who_is_in() == expected

        await until(look, f"page and metrics let in: {expected}", timeout=60, interval=1)

    await becomes((False, False))
    async with labelled(shop, "eureka.drain/client"):
        await becomes((True, False))
    async with labelled(shop, "eureka.drain/metrics"):
        await becomes((False, True))
    await becomes((False, False))
