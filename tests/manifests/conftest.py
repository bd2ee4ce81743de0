"""Everything here is rendered by kubectl."""

import pytest_asyncio

from tests.stack.prerequisites import KUBECTL, Tell, require


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def kubectl(tell: Tell) -> None:
    """It is there, or the error says what to do."""
    await require(KUBECTL, tell=tell)
