"""docs/tuning.md states what the program does, what eureka-clients gives, and what `make headline` runs with."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from controller.app.assembly import windows_of
from controller.domain.shutdown.opted_in import BALANCER_NOTE, FETCH_NOTE, SPARE, USUAL
from controller.settings import Settings, WindowSettings
from tests.headline.variants import SERVER_SETTINGS, TUNED

FETCH_SECONDS, BALANCER_SECONDS = (round(USUAL[note].total_seconds()) for note in (FETCH_NOTE, BALANCER_NOTE))
PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()


def test_the_example_is_valid_and_adds_up_to_less_than_the_set_window() -> None:
    shown = re.search(r"```yaml\n(window:.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    window = WindowSettings.model_validate(yaml.safe_load(shown[1])["window"])
    seconds = windows_of(window).of("orders", "eu").whole_seconds
    assert seconds == 0 + FETCH_SECONDS + BALANCER_SECONDS
    spare = round(SPARE.total_seconds())
    assert f"**{seconds} s**, and {spare} s to spare" in PAGE
    assert f"eureka.drain/window={seconds + spare}s" in PAGE


def test_what_each_knob_alone_makes_of_the_window_follows_the_settings() -> None:
    stock = windows_of(Settings().window).usual
    rows = {
        "use-read-only-response-cache": {"server_cache": "0s"},
        "response-cache-update-interval-ms": {"server_cache": "5s"},
        "registry-fetch-interval-seconds": {"client_fetch": f"{FETCH_SECONDS}s"},
        "loadbalancer.cache.ttl": {"load_balancer": f"{BALANCER_SECONDS}s"},
    }
    for name, given in rows.items():
        window = WindowSettings.model_validate(given)
        (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and name in line]
        assert f"| {windows_of(window).usual.whole_seconds} s |" in row
    assert f"| {stock.whole_seconds} s |" in PAGE


def test_the_knobs_are_those_that_are_measured_and_given() -> None:
    callers = {
        "eureka.client.registry-fetch-interval-seconds": f"{FETCH_SECONDS}",
        "spring.cloud.loadbalancer.cache.ttl": f"{BALANCER_SECONDS}s",
    }
    given = {**SERVER_SETTINGS[TUNED], **callers}
    shown = {name for name, value in given.items() if re.search(rf"`{re.escape(name)}`.*`{value}`", PAGE)}
    assert shown == given.keys() != set()


def test_what_it_costs_is_divided_by_the_interval_and_the_nodes() -> None:
    rows = re.findall(r"\| ([\d,]+) \| ([\d.]+) a second \| ([\d.]+) a second \|", PAGE)
    assert len(rows) == 3
    for callers, stock, tuned in rows:
        number = int(callers.replace(",", ""))
        assert abs(float(stock) - number / 30 / 2) < 0.5
        assert float(tuned) == number / 5 / 2
