"""An API server whose clock is off: its pods bear our times, and the drain of a young one is not refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.errors import KubernetesError
from controller.flows.ports import Alive, Changed, Listed, Removed, Sighting
from controller.kube.corrected_feed import ClusterClock, CorrectedFeed
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.unit.building import a_pod, at, terminating

AHEAD = timedelta(seconds=90)


@dataclass
class Told:
    """A feed that tells what it was given."""

    sightings: tuple[Sighting, ...] = ()
    scope: str = ""
    version: str = "7"

    async def follow(self) -> AsyncIterator[Sighting]:
        for sighting in self.sightings:
            yield sighting

    follow_unselected = follow

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        return tuple(one for one in self.sightings if isinstance(one, Removed))

    async def has(self, namespace: str, name: str, uid: str) -> bool:
        return uid == "uid-1"


def ahead(pod: Pod) -> Pod:
    """Return a pod as an API server shows it whose clock is ahead."""
    return replace(
        pod,
        created_at=pod.created_at and pod.created_at + AHEAD,
        deletion_at=pod.deletion_at and pod.deletion_at + AHEAD,
        unready_at=pod.unready_at and pod.unready_at + AHEAD,
    )


async def date() -> datetime:
    return virtual_clock() + AHEAD


@in_virtual_time
async def test_every_sighting_bears_our_times() -> None:
    pod = terminating(a_pod(unready_at=at(-40)))
    shown, details = ahead(pod), PodDetails(pod=ahead(pod))
    told = Told((Listed(scope="", pods=(shown,)), Changed(pod=shown, details=details), Removed(pod=shown), Alive()))
    feed = CorrectedFeed(told, ClusterClock(date, clock=virtual_clock))
    listed, changed, removed, _ = [one async for one in feed.follow()]
    assert isinstance(listed, Listed)
    assert isinstance(changed, Changed)
    assert isinstance(removed, Removed)
    assert changed.details is not None
    assert [*listed.pods, changed.pod, changed.details.pod, removed.pod] == [pod] * 4
    assert [one.pod for one in await feed.removed_since("6")] == [pod]
    assert (feed.scope, feed.version) == ("", "7")


@in_virtual_time
async def test_a_clock_that_is_hardly_off_changes_nothing() -> None:
    async def nearly() -> datetime:
        return virtual_clock() + timedelta(seconds=1)

    cluster_clock = ClusterClock(nearly, clock=virtual_clock)
    await cluster_clock.measure()
    assert cluster_clock.corrected(a_pod()) == a_pod()


@pytest.mark.parametrize("how", ["no answer", "an error", "no date"])
@in_virtual_time
async def test_a_clock_that_cannot_be_read_is_taken_for_ours_and_soon_read_again(how: str) -> None:
    good = False

    async def read() -> datetime | None:
        if good:
            return await date()
        if how == "no answer":
            await asyncio.sleep(3600)
        if how == "an error":
            raise KubernetesError("away")
        return None

    cluster_clock = ClusterClock(read, clock=virtual_clock)
    await cluster_clock.measure()
    assert cluster_clock.corrected(ahead(a_pod())) == ahead(a_pod())
    good = True
    await asyncio.sleep(61)
    await cluster_clock.measure()
    assert cluster_clock.corrected(ahead(a_pod(created_at=at(0)))).created_at == at(0)
