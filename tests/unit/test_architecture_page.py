"""docs/architecture.md names what is there: folders, modules, classes, the stages and outcomes, and the layers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import controller
from controller.domain.commands import Stage
from controller.domain.events import Outcome

ROOT = Path(__file__).parents[2]
CODE = Path(controller.__file__).parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)+|README\.md)`")
CLASS = re.compile(r"`([A-Z]\w*[a-z]\w*)\b")
SOURCES = "\n".join(path.read_text() for path in CODE.rglob("*.py"))
FOLDERS = sorted(
    str(path.relative_to(CODE))
    for path in CODE.rglob("*")
    if path.is_dir() and path.name != "__pycache__" and any(one.is_file() for one in path.iterdir())
)


def section(heading: str) -> str:
    """Return what stands below a heading of the second rank."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    assert rest, f"no section {heading!r}"
    return rest.partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """Return the rows of a section's first table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def place_of(name: str) -> Path | None:
    """Return the file or folder that the page means; None where there is none."""
    places = (ROOT / name, CODE / name, CODE / f"{name}.py")
    return next((place for place in places if place.exists()), None)


@pytest.mark.parametrize("name", sorted(set(PATH.findall(PAGE))))
def test_every_path_that_is_named_exists(name: str) -> None:
    assert place_of(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_of_the_code_is_named(name: str) -> None:
    assert f"`{name}`" in section("The folders")


@pytest.mark.parametrize("name", sorted(path.stem for path in CODE.glob("[a-z]*.py")))
def test_every_module_beside_the_folders_is_named(name: str) -> None:
    assert f"`{name}`" in section("The folders")


@pytest.mark.parametrize("name", sorted(set(CLASS.findall(PAGE)) | set(re.findall(r"[A-Z][a-z]+[A-Z]\w+", PAGE))))
def test_every_class_that_is_named_exists(name: str) -> None:
    not_ours = {"SelfSubjectAccessReview", "RabbitMQ"}
    assert name in not_ours or re.search(rf"^(?:class {name}\b|{name} = )", SOURCES, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), re.findall(r"`([\w/]+)` \(`(\w+)`", PAGE))
def test_what_is_named_behind_a_module_stands_in_it(path: str, name: str) -> None:
    place = place_of(path)
    assert place is not None
    assert re.search(rf"\b{name}\b", place.read_text())


def test_the_folders_are_listed_in_the_order_of_the_layers() -> None:
    [contract] = [
        one
        for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if one["type"] == "layers"
    ]
    layers = [[name.strip().split(".")[1] for name in layer.split("|")] for layer in contract["layers"]]
    first = {name: rank for rank, layer in reversed(list(enumerate(layers))) for name in layer}
    listed = [name.strip("`") for row in rows("The folders") for name in row[0].split(", ")]
    ranks = [first[name.partition("/")[0]] for name in listed]
    assert ranks == sorted(ranks)


def test_the_diagram_has_every_stage_and_every_outcome() -> None:
    diagram = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    assert diagram is not None
    transitions = re.findall(r"^ +(\S+) --> ([^\s:]+)", diagram[1], re.MULTILINE)
    states = {state for pair in transitions for state in pair} - {"[*]"}
    assert states == {"find", *Stage, *Outcome} - {Outcome.requested}
    ends = {here for here, there in transitions if there == "[*]"}
    goes_on = {here for here, there in transitions if there != "[*]"}
    assert ends - goes_on == set(Outcome) - {Outcome.requested, Outcome.retrying, Outcome.out_of_service}


def test_every_stage_has_a_line_in_the_table() -> None:
    assert [row[0] for row in rows("The life of a drain")] == ["find", *Stage]


def test_every_change_has_its_files() -> None:
    changes = rows("Where do I change …?")
    assert "a new setting" in dict(changes)
    assert len(dict(changes)) == len(changes)
    for change, files in changes:
        assert PATH.search(files) or "`eureka`" in files, change
