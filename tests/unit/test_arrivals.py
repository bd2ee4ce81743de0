"""What came up beside a rollout's pods, and how often the registry is asked."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from controller.domain.arrivals import EARLIER, Arrival, arrivals_of
from controller.domain.rollouts import Rollout, rollouts_of
from controller.errors import RegistryError
from controller.eureka.registry_decoder import NonsenseError, decode_arrivals
from controller.ops.shared_arrivals import MAX_APPS_OF_A_ROLLOUT, NODE_TIMEOUT, Arrivals
from tests.fakes.virtual_time import elapsed, in_virtual_time
from tests.unit.building import at
from tests.unit.test_registry_decoder import REGISTERED, registration
from tests.unit.test_rollouts import a_record

BEFORE = -EARLIER.total_seconds()


def the_rollout() -> Rollout:
    (rollout,) = rollouts_of([a_record("orders-a", 0, ended=100), a_record("orders-b", 60)])
    return rollout


def an_arrival(name: str, up: float | None, registered: float | None = None) -> Arrival:
    up_at, registered_at = (None if one is None else at(one) for one in (up, registered))
    return Arrival(app="ORDERS", id=name, registered_at=registered_at, up_at=up_at)


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        (an_arrival("in its time", 30), 30),
        (an_arrival("the first one, before an old one is deleted", BEFORE), BEFORE),
        (an_arrival("there before", BEFORE - 1), None),
        (an_arrival("there before, and registered anew", BEFORE - 1, 20), 20),
        (an_arrival("under an id that an old one had", -9_000, 40), 40),
        (an_arrival("scaled up much later", 60 + 31 * 60), None),
        (an_arrival("of a server that says no times", None), None),
    ],
    ids=lambda one: one.id if isinstance(one, Arrival) else "",
)
def test_what_came_up_in_a_rollouts_time_is_its_own(arrival: Arrival, expected: float | None) -> None:
    assert arrivals_of(the_rollout(), [arrival]) == ([] if expected is None else [(at(expected), arrival)])


def test_the_first_one_is_the_first() -> None:
    found = arrivals_of(the_rollout(), [an_arrival("b", 20), an_arrival("c", 10), an_arrival("a", 20)])
    assert [one.id for _, one in found] == ["c", "a", "b"]


class Asked:
    """A region that counts."""

    def __init__(self) -> None:
        self.apps: list[str] = []

    async def arrivals(self, app: str) -> tuple[Arrival, ...]:
        self.apps.append(app)
        if len(self.apps) > 1:
            raise RegistryError("no answer in time")
        return (an_arrival("new", 30),)


async def test_an_app_is_asked_once_for_all_who_look() -> None:
    region = Asked()
    arrivals = Arrivals({"eu": region})
    assert [one.id for _, one in await arrivals.of(the_rollout())] == ["new"]
    assert [one.id for _, one in await arrivals.of(the_rollout())] == ["new"]
    assert region.apps == ["ORDERS"]


async def test_nothing_is_shown_of_regions_that_do_not_answer_or_are_not_known() -> None:
    region = Asked()
    region.apps.append("an earlier one")
    assert await Arrivals({"eu": region}).of(the_rollout()) == []
    assert await Arrivals({"us": Asked()}).of(the_rollout()) == []


@in_virtual_time
async def test_a_page_waits_for_no_slow_node_and_the_next_one_has_its_answer() -> None:
    class Slow(Asked):
        async def arrivals(self, app: str) -> tuple[Arrival, ...]:
            await asyncio.sleep(2 * NODE_TIMEOUT)
            return await super().arrivals(app)

    arrivals = Arrivals({"eu": Slow()})
    assert await arrivals.of(the_rollout()) == []
    assert elapsed() == pytest.approx(NODE_TIMEOUT)
    await asyncio.sleep(NODE_TIMEOUT)
    assert [one.id for _, one in await arrivals.of(the_rollout())] == ["new"]


async def test_a_rollout_of_many_apps_asks_for_few() -> None:
    regions = {f"r{number}": Asked() for number in range(9)}
    (rollout,) = rollouts_of([a_record("orders-a", 0, region=name) for name in regions])
    await Arrivals(regions).of(rollout)
    assert sum(len(region.apps) for region in regions.values()) == MAX_APPS_OF_A_ROLLOUT


def decoded(*instances: dict[str, Any], alone: bool = False) -> list[tuple[str, datetime | None, datetime | None]]:
    body = {"application": {"name": "ORDERS", "instance": instances[0] if alone else list(instances)}}
    return [(one.id, one.registered_at, one.up_at) for one in decode_arrivals(json.dumps(body).encode())]


def test_only_what_says_up_has_come_up() -> None:
    lease = {"registrationTimestamp": REGISTERED, "serviceUpTimestamp": str(REGISTERED + 1000)}
    up, out = registration(leaseInfo=lease), registration(status="OUT_OF_SERVICE")
    [(name, registered_at, up_at)] = decoded(out, up)
    assert name == up["instanceId"]
    assert registered_at is not None
    assert up_at is not None
    assert (up_at - registered_at).total_seconds() == 1
    assert decoded(up, alone=True) == [(name, registered_at, up_at)]
    assert decoded(registration(leaseInfo={"serviceUpTimestamp": 0})) == [(name, None, None)]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"application": []}', b'{"application": {"instance": [1]}}'])
def test_nonsense_is_called_that(body: bytes) -> None:
    with pytest.raises(NonsenseError):
        decode_arrivals(body)
