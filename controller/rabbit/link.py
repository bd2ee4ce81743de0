"""One connection to the broker, kept up for ever: connect, set up, hold until anything about it ends, start anew.

aio-pika's robust connection may come back without its consumer and re-declares what it remembers; this one forgets
everything and builds it again, so that the state after an outage is the state after a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from loguru import logger
from yarl import URL

from controller.errors import BrokerError, SettingsError
from controller.flows.backoff import Backoff
from controller.rabbit.bounded_reading import BoundedConnection
from controller.rabbit.connection_failures import explain_failure, fix_of, is_no_virtual_host, is_refused_login
from controller.rabbit.kept_cancellation import kept_cancellation
from controller.rabbit.spare_channel import SpareChannel
from controller.rabbit.trouble_log import TroubleLog
from controller.settings import BrokerSettings, SecretUrl, without_credentials
from controller.tls.context import for_broker
from controller.tls.trouble import explain

HEARTBEAT = 10
"""Seconds. A dead peer is noticed after about three of them."""
MIN_BACKOFF, MAX_BACKOFF = timedelta(milliseconds=200), timedelta(seconds=5)
"""Between two tries to connect."""
STABLE_AFTER = 30.0
"""Seconds after which a link that is lost is connected anew without much waiting."""
BROKER_TROUBLE = (
    AMQPError,
    ChannelInvalidStateError,
    OSError,
    TimeoutError,
    BrokerError,
    asyncio.InvalidStateError,
    StopAsyncIteration,  # a peer that closes the connection before it has said anything
)


@contextlib.contextmanager
def as_broker_error(what: str) -> Iterator[None]:
    """Turn whatever the client library raises into a BrokerError, but for a cancellation.

    A call that is under way while its channel is closed ends with a bare ``Exception``, of no class of its own, and one
    that begins when the connection has just been closed with a bare ``RuntimeError``.
    """
    try:
        with kept_cancellation():
            yield
    except BROKER_TROUBLE as error:
        why = str(error) if isinstance(error, BrokerError) else explain(error) or _text(error)
        raise BrokerError(f"{what} ({why})") from error
    except Exception as error:
        if type(error) not in (Exception, RuntimeError):
            raise
        raise BrokerError(f"{what} (the channel was closed)") from error


class Link:
    """Keeps one channel open and usable."""

    def __init__(
        self, *, name: str, settings: BrokerSettings, set_up: Callable[[AbstractChannel], Awaitable[None]]
    ) -> None:
        self._name = name
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        self._set_up = set_up
        self._open = asyncio.Event()
        self._lost = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._given_up = 0
        """How often: each time another host is the first to be tried."""
        self.trouble = ""
        """Why it is not up."""
        self.cancelled = False
        """Whether the broker has ended the consumer since the link was set up last: its queue is gone."""

    @property
    def up(self) -> bool:
        """True while the channel is set up and nothing has ended it."""
        return self._open.is_set() and not self._lost.is_set()

    @property
    def where(self) -> str:
        """The hosts that are tried, without credentials."""
        return ", ".join(url.place for url in self._settings.urls)

    async def wait_until_up(self) -> None:
        """Return once the channel is set up."""
        await self._open.wait()

    def rotate_credentials(self, settings: BrokerSettings, tls: ssl.SSLContext | None) -> None:
        """Use these credentials at the next connect; what is up stays up."""
        self._settings = settings
        self._tls = tls

    def spare_channel(self) -> SpareChannel:
        """Return a channel beside the link's own, to be used within ``async with``; BrokerError without a connection.

        Its end does not end the link.
        """
        if self._connection is None:
            raise BrokerError("not connected")
        return SpareChannel(self._connection)

    def give_up(self, why: str) -> None:
        """Build the link anew: whoever uses it found it unusable."""
        logger.bind(link=self._name, why=why).warning("broker link given up")
        self._given_up += 1
        self._lost.set()

    async def run(self) -> None:
        """Keep the link, for ever."""
        backoff = Backoff(first=MIN_BACKOFF, longest=MAX_BACKOFF)
        trouble_log = TroubleLog("broker link not up", repeats=True, link=self._name)
        while True:
            started = asyncio.get_running_loop().time()
            self._lost.clear()
            try:
                with kept_cancellation():
                    await self._come_up()
                self._open.set()
                self.trouble = ""
                trouble_log.over()
                logger.bind(link=self._name).info("broker link up")
                await self._lost.wait()
                logger.bind(link=self._name).warning("broker link lost")
            except Exception as error:  # whatever the library met: the link's task is to be there again
                self.trouble = _text(error)
                trouble_log.note(error, self.trouble)
            finally:
                self._open.clear()
                ended, self._connection = self._connection, None
                if ended is not None:
                    await _close(ended)
            if asyncio.get_running_loop().time() - started > STABLE_AFTER:
                backoff.reset()
            await backoff.wait()

    async def _come_up(self) -> None:
        async with asyncio.timeout(self._settings.timeout.total_seconds() * (3 + len(self._settings.urls))):
            connection = self._connection = await connect(
                self._settings, self._name, tls=self._tls, first=self._given_up
            )
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            connection.close_callbacks.add(self._note_loss)
            channel.close_callbacks.add(self._note_loss)
            underlay = await channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(self._note_cancel)
            await self._set_up(channel)
            self.cancelled = False

    def _note_loss(self, *_: object) -> None:
        self._lost.set()

    def _note_cancel(self, *_: object) -> None:
        self.cancelled = True
        self.give_up("the broker cancelled the consumer")


async def connect(
    settings: BrokerSettings, name: str, *, tls: ssl.SSLContext | None = None, first: int = 0
) -> AbstractConnection:
    """Open a connection that the broker's management page shows by this name, to the first host that can be used.

    Without ``tls`` the settings' files are read. ``first``: by how many the hosts are turned round. BrokerError when
    TLS is the reason that there is none, or a file.
    """
    urls = settings.urls
    turned = first % len(urls)
    *others, last = urls[turned:] + urls[:turned]
    for url in others:
        try:
            return await _connect(settings, url, name, tls)
        except BROKER_TROUBLE as error:
            logger.bind(host=without_credentials(str(url)), error=_text(error)).info("this host cannot be used")
    return await _connect(settings, last, name, tls)


async def _connect(
    settings: BrokerSettings, secret: SecretUrl, name: str, tls: ssl.SSLContext | None
) -> AbstractConnection:
    url = URL(secret.get_secret_value()).update_query(heartbeat=str(HEARTBEAT))
    try:
        return await aio_pika.connect(
            url,
            timeout=settings.timeout.total_seconds(),
            # Never None for amqps://: the library would then go by the URL's query, which can switch verifying off.
            ssl_context=tls or for_broker(settings),
            client_properties={"connection_name": f"eureka-drain {name}"},
            connection_class=BoundedConnection,
        )
    except SettingsError as error:
        raise BrokerError(str(error)) from error
    except BROKER_TROUBLE as error:
        if why := explain(error, began="tls" if url.scheme == "amqps" else "plain"):
            raise BrokerError(why) from error
        raise


def _text(error: BaseException) -> str:
    """Describe an exception by host and reason, without the credentials of a URL that it may quote."""
    text = without_credentials(str(error))
    if isinstance(error, BrokerError):
        return text
    if is_no_virtual_host(error) or is_refused_login(error):
        return f"{explain_failure(error)}: {fix_of(error)}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _close(connection: AbstractConnection) -> None:
    with contextlib.suppress(*BROKER_TROUBLE), kept_cancellation():
        async with asyncio.timeout(3):
            await connection.close()
