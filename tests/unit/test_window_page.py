"""docs/window.md states what the program does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import yaml

from controller.app.assembly import windows_of
from controller.domain.shutdown.findings import ShutdownSurvey
from controller.domain.shutdown.pod_details import Container
from controller.ops.shutdown_patches import patches_text
from controller.settings import Settings, WindowSettings
from tests.unit.windows import USUAL, WINDOWS, finding, pod_details, shell

PAGE = (Path(__file__).parents[2] / "docs" / "window.md").read_text()
ORDERS = replace(pod_details(grace=60), containers=(Container(name="orders", hook=shell("sleep 30")),))


def test_the_patch_that_the_page_shows_is_the_one_that_is_printed() -> None:
    looked = ShutdownSurvey(findings=(finding(ORDERS),), usual=USUAL)
    assert f"```sh\n{patches_text(looked)}```" in PAGE


def test_the_numbers_of_the_manifest_are_those_of_the_patch() -> None:
    fix = finding(ORDERS).fix
    assert fix is not None
    shown = re.search(r"```yaml\n(spec:\n.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    spec = yaml.safe_load(shown[1])["spec"]
    assert spec["terminationGracePeriodSeconds"] == fix.grace_seconds
    assert spec["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": fix.sleep_seconds}}


def test_the_stock_window_is_that_of_the_settings() -> None:
    usual = windows_of(Settings().window).usual
    assert usual == WINDOWS.usual
    assert f"| **{usual.whole_seconds} s** |" in PAGE


def test_the_example_for_one_app_is_valid_and_adds_up() -> None:
    shown = re.search(r"```yaml\n(window:\n.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    window = WindowSettings.model_validate(yaml.safe_load(shown[1])["window"])
    assert windows_of(window).of("orders").whole_seconds == 30 + 5 + 5
