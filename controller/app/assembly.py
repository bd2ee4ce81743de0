"""From settings to the parts that more than one command is built of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.domain.events import Event
from controller.domain.guard import GuardPolicy
from controller.domain.pods import Pod
from controller.domain.routing import Routing
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.window import Window, WindowOverride, Windows
from controller.domain.tracking import Tracker
from controller.errors import BrokerError, KubernetesError
from controller.eureka.region import EurekaRegion
from controller.flows.replay_planner import LivingPods
from controller.flows.steps import Policy
from controller.kube.client import KubeApi
from controller.kube.listing import Census
from controller.messages.codec import decode_end, decode_event
from controller.rabbit import names
from controller.rabbit.stream import Entry, StreamFollower
from controller.settings import Settings
from controller.settings import WindowSettings as WindowSettings

CONNECT_TIMEOUT = 10.0
"""Seconds that a command waits for the broker."""
READ_TIMEOUT = 30.0
"""Seconds without another entry that a command waits for the rest of the event log."""


def everything(_: bytes) -> bool:
    """Want each entry of a stream."""
    return True


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def routing_of(settings: Settings) -> Routing:
    """How the settings route pods to regions."""
    known = tuple(settings.regions)
    return Routing(
        cluster=settings.watch.cluster,
        known=known,
        default=tuple(settings.routing.default_regions) or known,
        namespaces={name: tuple(regions) for name, regions in settings.routing.namespaces.items()},
    )


def policy_of(settings: Settings) -> Policy:
    """How the settings let a worker proceed."""
    return Policy(
        retention=settings.retention,
        remove=settings.remove,
        give_up_after=settings.retry.give_up_after,
        max_backoff=settings.retry.max_backoff,
        instance_id_templates=tuple(settings.instance_id_templates),
        concurrency=settings.work.concurrency,
        guard=GuardPolicy(**settings.guard.model_dump()),
        windows=windows_of(settings.window),
    )


def windows_of(settings: WindowSettings) -> Windows:
    """The window of each app and region, as the settings have it."""
    return Windows(
        Window(
            server_cache=settings.server_cache,
            client_fetch=settings.client_fetch,
            load_balancer=settings.load_balancer,
        ),
        of_apps={name: WindowOverride(**dict(own)) for name, own in settings.apps.items()},
        of_regions={name: WindowOverride(**dict(own)) for name, own in settings.regions.items()},
    )


def event_log(
    settings: Settings, *, look_back: timedelta, wanted: Callable[[bytes], bool] = everything
) -> StreamFollower[Event]:
    """A follower of the event log."""
    return _follower(settings, names.EVENTS, decode_event, look_back, wanted)


def ends_log(
    settings: Settings, *, look_back: timedelta, wanted: Callable[[bytes], bool] = everything
) -> StreamFollower[PodEnd]:
    """A follower of the stream of pods' ends."""
    return _follower(settings, names.ENDS, decode_end, look_back, wanted)


def _follower(
    settings: Settings,
    stream: str,
    decode: Callable[[bytes], Entry],
    look_back: timedelta,
    wanted: Callable[[bytes], bool],
) -> StreamFollower[Entry]:
    return StreamFollower(
        settings=settings.broker, stream=stream, decode=decode, look_back=look_back, clock=now, wanted=wanted
    )


async def read_log(log: StreamFollower[Any], *, told: Callable[[int], object] = lambda _: None) -> None:
    """Wait until the event log has been read. BrokerError when it cannot be, with the broker's reason.

    However long the log is, it is waited for while entries come.
    """
    reading = asyncio.create_task(log.wait_until_read())
    patience, seen = CONNECT_TIMEOUT, 0
    try:
        while True:
            done, _ = await asyncio.wait({reading}, timeout=min(patience, 1.0))
            told(log.told)
            if done:
                return
            if log.told != seen:
                patience, seen = READ_TIMEOUT, log.told
            elif (patience := patience - 1.0) <= 0:
                raise BrokerError(
                    f"the stream {log.stream} cannot be read: {log.link.trouble or 'the broker does not answer'}"
                )
    finally:
        reading.cancel()


async def open_regions(settings: Settings, opened: AsyncExitStack) -> dict[str, EurekaRegion]:
    """Every region of the settings, until the stack is left."""
    return {
        name: await opened.enter_async_context(EurekaRegion(name, region, clock=now))
        for name, region in settings.regions.items()
    }


async def track(api: KubeApi, *, namespaces: Sequence[str], page_size: int) -> tuple[tuple[Pod, ...], Tracker]:
    """List the cluster's pods, or those of the namespaces when no more may be listed; with who shares what with whom.

    KubernetesError unless the list is complete.
    """
    tracker = Tracker()
    pods = await Census(api, namespaces=namespaces, page_size=page_size).take()
    tracker.listed("", pods, now())
    return pods, tracker


async def living_pods(settings: Settings) -> tuple[LivingPods | None, str]:
    """The cluster's living pods, or why they are not known: a replay goes without them where it may not list them."""
    try:
        async with KubeApi() as api:
            namespaces, page_size = settings.watch.namespaces, settings.watch.page_size
            _, tracker = await track(api, namespaces=namespaces, page_size=page_size)
    except KubernetesError as error:
        return None, str(error)
    return LivingPods(tracker.sharing, lambda uid: tracker.alive_at(uid) is not None), ""
