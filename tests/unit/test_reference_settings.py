"""`config/controller.yaml` is the reference: it says every default, and what it shows as an example works."""

import re
from pathlib import Path

import yaml

from controller.settings import Settings
from controller.settings_sources import load

REFERENCE = Path(__file__).parents[2] / "config" / "controller.yaml"


def test_the_reference_file_holds_exactly_the_defaults() -> None:
    assert load(REFERENCE, environ={}) == load(environ={})
    shown = Settings().model_dump(mode="json")
    shown["broker"]["url"] = Settings().broker.url.get_secret_value()
    assert yaml.safe_load(REFERENCE.read_text()) == shown, "a setting is missing, or has another default"


def test_the_region_shown_as_an_example_is_valid_and_complete(tmp_path: Path) -> None:
    text = REFERENCE.read_text()
    example = re.search(r"^#  eu:\n(?:#    .*\n)+", text, re.MULTILINE)
    assert example is not None
    shown = re.sub(r"^#", "", example[0], flags=re.MULTILINE)
    file = tmp_path / "controller.yaml"
    file.write_text(text.replace("\nregions: {}\n", f"\nregions:\n{shown}"))
    region = load(file, environ={}).regions["eu"]
    assert [node.get_secret_value() for node in region.nodes] == [
        "http://eureka-0.eureka:8761/eureka",
        "http://eureka-1.eureka:8761/eureka",
    ]
    assert set(yaml.safe_load(shown)["eu"]) == set(type(region).model_fields)
    defaults = type(region)(nodes=region.nodes)
    assert region == defaults
