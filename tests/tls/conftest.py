"""The shared broker with certificates of these tests' own, and proxies with TLS before the shared Eureka nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.stack.authority import Authority
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.tls.front import Front


class SecureBroker:
    """The shared broker, and who signs its certificates."""

    def __init__(self, broker: RabbitMq) -> None:
        assert broker.certificates is not None
        self.broker = broker
        self.authority = Authority()
        self._certificates = broker.certificates

    async def certify(self, authority: Authority, host: str = "localhost", *, expired: bool = False) -> None:
        """Let it show this certificate, and take only clients of this authority, from the next connection on."""
        self.authority = authority
        authority.write_ca(self._certificates.ca)
        authority.write(self._certificates.certificate.parent, host, expired=expired)
        await self.broker.reread_certificates()

    def url(self, user: str = "guest", password: str = "guest", *, host: str = "localhost") -> str:
        """Where it listens for TLS."""
        return f"amqps://{user}:{password}@{host}:{self.broker.tls_port}/"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def secure_broker(broker: RabbitMq) -> SecureBroker:
    """With a good certificate for localhost, and not for 127.0.0.1."""
    secured = SecureBroker(broker)
    await secured.certify(secured.authority)
    return secured


@pytest.fixture
def authority() -> Authority:
    """Who signs the certificates of the Eureka nodes' proxies."""
    return Authority()


@pytest_asyncio.fixture(loop_scope="session")
async def fronts(tmp_path: Path, eureka_pair: EurekaNodes, authority: Authority) -> AsyncIterator[list[Front]]:
    """One before each node of the shared pair."""
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(Front(tmp_path / f"front-{number}", node.url, authority))
            for number, node in enumerate(eureka_pair.nodes)
        ]
