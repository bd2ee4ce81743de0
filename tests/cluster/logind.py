"""What a kubelet asks of systemd's logind, on a machine without systemd: to be told of a shutdown, and to delay it.

At SIGUSR1 it says to all that the machine is about to shut down, as logind does at `systemctl poweroff`; it ends when
nobody delays that any more, or the longest delay is over: then logind would let the machine go.

Facts of the interface: org.freedesktop.login1(5). A delay is a pipe's end in the hands of whoever asked for it: it is
over when that end is closed.
"""

import asyncio
import os
import signal
from contextlib import suppress

from dbus_fast import BusType, PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusStr, DBusUInt64, DBusUnixFd
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

NAME, PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
LONGEST_DELAY = 180.0
"""Seconds; longer than any kubelet of ours asks for, so that none sets about changing it."""


class Manager(ServiceInterface):
    """The part of its interface that kubelets use; the names and signatures are logind's."""

    def __init__(self) -> None:
        super().__init__(f"{NAME}.Manager")
        self._delays: list[asyncio.Task[None]] = []

    @dbus_property(access=PropertyAccess.READ)
    def InhibitDelayMaxUSec(self) -> DBusUInt64:  # noqa: N802
        return int(LONGEST_DELAY * 1e6)

    @dbus_method()
    def Inhibit(self, what: DBusStr, who: DBusStr, why: DBusStr, mode: DBusStr) -> DBusUnixFd:  # noqa: N802
        ours, theirs = os.pipe()
        self._delays.append(asyncio.create_task(closed(ours)))
        asyncio.get_running_loop().call_later(1, os.close, theirs)  # sent by then, as a copy
        print(f"{who} delays {what}: {why} ({mode})", flush=True)
        return theirs

    @dbus_signal()
    def PrepareForShutdown(self) -> DBusBool:  # noqa: N802
        return True

    async def shut_down(self) -> None:
        """Tell everybody, and wait for those who delay it."""
        self.PrepareForShutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_DELAY):
                await asyncio.gather(*self._delays)


async def closed(end: int) -> None:
    """Wait until nobody has the other end of a pipe."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(end, readable.set)
    await readable.wait()
    loop.remove_reader(end)
    os.close(end)


async def main() -> None:
    """Until a shutdown."""
    bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
    asked, manager = asyncio.Event(), Manager()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, asked.set)
    bus.export(PATH, manager)
    await bus.request_name(NAME)
    await asked.wait()
    await manager.shut_down()


if __name__ == "__main__":
    asyncio.run(main())
