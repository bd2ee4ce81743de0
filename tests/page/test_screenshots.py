"""Pictures for people: written into the folder that PAGE_SCREENSHOTS names, for looking at them."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.page.scene import DESKTOP, PHONE, Scene

FOLDER = os.environ.get("PAGE_SCREENSHOTS", "")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "device_scale_factor": 2},
}


@pytest.mark.skipif(not FOLDER, reason="PAGE_SCREENSHOTS names no folder")
@pytest.mark.parametrize("look", LOOKS)
async def test_pictures_of_every_page(scene: Scene, look: str) -> None:
    folder = Path(FOLDER)
    places = {
        "drains": "/",
        "drain": f"/drains/{await scene.drain_id('orders-gone')}",
        "dead": "/dead",
        "sign-in": "/sign-in",
    }
    async with scene.reader(**LOOKS[look]) as reader:
        for name, path in places.items():
            await reader.page.goto(path)
            await reader.page.wait_for_load_state()
            await reader.page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
        await reader.page.goto(f"/replays?pod={scene.namespace}/*")
        await reader.page.get_by_role("button", name="Show the plan").click()
        await reader.page.locator("#plan").wait_for()
        await reader.page.screenshot(path=folder / f"plan-{look}.png", full_page=True)
