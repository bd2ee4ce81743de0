"""What a caller has written is read as it grows; no process runs here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.headline.callers import Caller
from tests.headline.variants import VARIANTS

TUNED = VARIANTS[3]


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    nodes = ["http://localhost:1/eureka", "http://127.0.0.1:2/eureka"]
    return Caller(TUNED, nodes, tmp_path / "caller.jar", tmp_path, given={"GIVEN": "by a component"})


def test_it_has_the_environment_of_its_namespaces_pods_and_its_machines(caller: Caller) -> None:
    assert caller.env["GIVEN"] == "by a component"
    assert "PATH" in caller.env


def write(folder: Path, text: str) -> None:
    with (folder / "tuned.1.calls").open("a") as file:
        file.write(text)


def test_a_half_written_line_waits_for_its_end(caller: Caller, tmp_path: Path) -> None:
    assert caller.look() == []
    write(tmp_path, "1\t2\ta\t200\n3\t4\tb\t")
    assert [call.instance for call in caller.look()] == ["a"]
    write(tmp_path, "200\n")
    assert [(call.instance, call.outcome) for call in caller.look()] == [("a", "200"), ("b", "200")]


def test_it_reports_whom_its_last_calls_reached(caller: Caller, tmp_path: Path) -> None:
    write(tmp_path, "1\t2\told\t200\n1\t2\ta\t200\n1\t2\tb\t200\n")
    assert caller.answered_by(2) == {"a", "b"}
    assert caller.answered_by(3) == {"old", "a", "b"}


def test_a_lost_call_reached_nobody_and_too_few_calls_prove_nothing(caller: Caller, tmp_path: Path) -> None:
    write(tmp_path, "1\t2\ta\t200\n1\t2\tb\t503\n")
    assert caller.answered_by(2) == {"a", ""}
    assert caller.answered_by(3) == set()


def test_it_runs_with_its_variants_nodes_and_the_timeouts(caller: Caller) -> None:
    for flag in (
        "--eureka.client.service-url.defaultZone=http://localhost:1/eureka,http://127.0.0.1:2/eureka",
        "--spring.http.client.connect-timeout=2s",
        "--caller.service=tuned",
    ):
        assert flag in caller.command
