"""What comes from outside fits the containers that the manifests make, and grows with them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import bounds
from controller.app.memory import memory_limit
from controller.bounds import (
    HELD,
    INDEX_ROOM,
    MAX_SHARE,
    MIB,
    USUAL_MEMORY,
    USUAL_OPS_MEMORY,
    index_room,
    ledger_entries,
)

ROOT = Path(__file__).parents[2]
MANIFESTS = {"watch": "common/watch.yaml", "work": "work/work.yaml", "ops": "common/ops.yaml"}


def limit_of(role: str) -> int:
    documents = yaml.safe_load_all((ROOT / "manifests" / "base" / MANIFESTS[role]).read_text())
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    containers: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    text = containers[0]["resources"]["limits"]["memory"]
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi")) * MIB


@pytest.mark.parametrize("role", MANIFESTS)
def test_what_a_role_holds_at_most_is_less_than_three_fifths_of_its_memory(role: str) -> None:
    assert limit_of(role) == (USUAL_OPS_MEMORY if role == "ops" else USUAL_MEMORY)
    assert sum(HELD[role].values()) < MAX_SHARE * limit_of(role)


def test_the_page_states_what_each_role_holds_at_most() -> None:
    text = (ROOT / "docs" / "scale.md").read_text()
    for role, held in HELD.items():
        for what, size in held.items():
            assert f"| {role} | {what} | {round(size / MIB)} |" in text
        assert f"| {role} | **together** | **{round(sum(held.values()) / MIB)}** |" in text


def test_a_larger_container_keeps_more() -> None:
    assert index_room(USUAL_MEMORY) == INDEX_ROOM
    assert index_room(4 * USUAL_MEMORY) // bounds.INSTANCE_COST > 100_000, "as docs/scale.md promises"
    assert ledger_entries(6 * USUAL_MEMORY) > 100_000


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, USUAL_MEMORY),
        ({"memory.max": "max\n"}, USUAL_MEMORY),
        ({"memory.max": "1073741824\n"}, 1024 * MIB),
        ({"memory/memory.limit_in_bytes": "268435456\n"}, 256 * MIB),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, USUAL_MEMORY),
        ({"memory.max": "\xff"}, USUAL_MEMORY),
    ],
    ids=str,
)
def test_the_containers_limit_is_read(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_limit(tmp_path) == limit


def test_every_bound_says_why_it_is_what_it_is() -> None:
    body = ast.parse(Path(bounds.__file__).read_text()).body
    for one, after in zip(body, [*body[1:], None], strict=True):
        if (
            isinstance(one, ast.Assign)
            and isinstance(one.targets[0], ast.Name)
            and one.targets[0].id.startswith("MAX_")
        ):
            assert isinstance(after, ast.Expr), f"{one.targets[0].id} has no reason"
