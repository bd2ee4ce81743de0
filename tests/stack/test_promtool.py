"""promtool is built from its source, and runs."""

import pytest

from tests.stack.parts import promtool
from tests.stack.prerequisites import Tell
from tests.stack.processes import output_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]


async def test_it_can_be_built_and_says_what_it_can_do(tell: Tell) -> None:
    assert "test rules" in await output_of(str(await promtool(tell) / "promtool"), "--help-long")
