"""promtool is built from its source, and runs."""

import pytest

from tests.stack.parts import promtool
from tests.stack.prerequisites import ReportProgress
from tests.stack.processes import output_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_can_be_built_and_lists_what_it_can_do(report_progress: ReportProgress) -> None:
    assert "test rules" in await output_of(str(await promtool(report_progress) / "promtool"), "--help-long")
