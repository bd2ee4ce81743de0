"""``topology declare --keep``: the one process that may declare, and declares again whatever is deleted."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from aio_pika.abc import AbstractChannel
from loguru import logger

from controller.app.exit_status import run_to_exit_status
from controller.ops.metrics import Metrics
from controller.ops.port.http_server import Checks, serve
from controller.rabbit.link import Link
from controller.rabbit.topology_keeper import TopologyKeeper
from controller.rotation import Rotation
from controller.settings import Settings
from controller.settings.sources import Sources
from controller.signals import run_until_stopped
from controller.tls.context import TlsAccess


def keep_topology(settings: Settings, sources: Sources) -> int:
    """Declare everything, and keep it declared until a signal; return the exit status."""
    rotation = Rotation(sources, settings, regions=())
    rotation.check()
    return run_to_exit_status(_keep(settings, rotation))


async def _keep(settings: Settings, rotation: Rotation) -> None:
    async def declare_all(_: AbstractChannel) -> None:
        await keeper.declare_all()

    link = Link(name="topology", settings=settings.broker, set_up=declare_all)
    keeper = TopologyKeeper(link=link, settings=settings.broker, regions=list(settings.regions))

    def rotate(access: TlsAccess) -> None:
        link.rotate_credentials(access.settings.broker, access.broker)

    async def stop() -> None:
        logger.info("stopping")

    checks: Checks = {"broker connected": lambda: link.up, "topology declared": keeper}
    metrics = Metrics(regions=list(settings.regions), watch=False, work=(), ops=False)
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(serve(settings.http, metrics, checks))
        await run_until_stopped(
            {"link": link.run, "topology": keeper.run, "rotation": partial(rotation.run, rotate)}, stop=stop
        )
    logger.info("stopped")
