"""What oauth2-proxy sends along behind an ingress: people read and write with the token that it brings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from controller.settings import OpsSettings
from tests.page.test_site import site_app
from tests.unit.authorizer_app import OPERATOR, bearer

PAGE = (Path(__file__).parents[2] / "docs" / "day-two.md").read_text()
HOST = "drain.example.com"


def settings_of_the_page() -> dict[str, Any]:
    """The example's own settings."""
    [block] = re.findall(r"```yaml\n# controller.yaml\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(block)["ops"]
    return found


def sent(token: str, **more: str) -> dict[str, str]:
    """The headers of a browser's request after both proxies."""
    forwarded = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Host": HOST, "X-Forwarded-Proto": "https"}
    return {"Host": HOST, **forwarded, **bearer(token), "X-Forwarded-Email": "alice@example.com", **more}


async def test_people_read_and_write_with_the_token_that_the_proxy_brings() -> None:
    ops = OpsSettings(operator_token=cast("Any", OPERATOR), **settings_of_the_page())
    browser = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    async with site_app(ops) as app:
        async with app.client.get("/", headers=sent(OPERATOR)) as answer:
            assert answer.status == 200
        form = {"app": "orders", "rps": "100", "reason": "INC-1"}
        async with app.client.post("/replays", data=form, headers=sent(OPERATOR, **browser)) as answer:
            assert answer.status == 200
            assert "The plan: 2 of 3 would be drained" in " ".join((await answer.text()).split())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (sent("somebody-elses-token-of-the-provider"), 401),
        (sent(OPERATOR, Origin="https://elsewhere.example.com", **{"Sec-Fetch-Site": "cross-site"}), 403),
        ({**sent(OPERATOR), "X-Forwarded-Host": "elsewhere.example.com"}, 421),
        ({name: value for name, value in sent(OPERATOR).items() if name != "Authorization"}, 401),
    ],
)
async def test_the_proxy_opens_nothing_for_whoever_may_not(headers: dict[str, str], status: int) -> None:
    ops = OpsSettings(operator_token=cast("Any", OPERATOR), **settings_of_the_page())
    async with site_app(ops) as app:
        body = {"app": "orders"}
        async with app.client.post("/api/v1/replays", json=body, headers=headers) as answer:
            assert answer.status == status
