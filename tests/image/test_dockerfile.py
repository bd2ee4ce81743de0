"""The Dockerfile as it is written; how these tests read it, too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller.settings import Settings
from tests.image.context import sent
from tests.image.dockerfile import DOCKERFILE, ROOT, Instruction, Stage, read

TEXT = DOCKERFILE.read_text()
STAGES = read(TEXT)
LAST = STAGES[-1]
EXTERNAL = sorted({stage.base for stage in STAGES} - {stage.name for stage in STAGES})


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python:latest\nRUN cd /tmp\n")
    hadolint = Path(sys.executable).with_name("hadolint")
    assert subprocess.run([hadolint, wrong], capture_output=True, check=False).returncode == 1


def test_there_is_something_to_check() -> None:
    assert len(STAGES) == 3
    assert len(EXTERNAL) == 2


@pytest.mark.parametrize("base", EXTERNAL)
def test_a_base_image_is_one_exact_version_and_can_be_given_by_its_digest(base: str) -> None:
    assert re.search(r":\d+\.\d+\.\d+(-[a-z-]+)?$", base)
    assert re.search(rf"^ARG \w+_IMAGE={re.escape(base)}$", TEXT, re.MULTILINE)


def test_the_image_has_the_python_that_the_tests_run_on() -> None:
    assert f"python:{sys.version_info.major}.{sys.version_info.minor}." in LAST.base


def test_what_is_built_and_what_is_shipped_have_the_same_base() -> None:
    assert LAST.base == next(stage for stage in STAGES if stage.name == "build").base


def test_the_last_stage_takes_one_folder_from_the_build_and_only_removes() -> None:
    assert [(one.flag("from"), one.words) for one in LAST.all("COPY")] == [("build", ["/opt/eureka-drain"] * 2)]
    assert [re.findall(r"(?:^|&& )([\w-]+(?: -m pip \w+)?)", one.rest) for one in LAST.all("RUN")] == [
        ["python3 -m pip uninstall", "rm"]
    ]


def test_everything_comes_from_the_lock_and_no_downloaded_installer_runs() -> None:
    build = next(stage for stage in STAGES if stage.name == "build")
    steps = " && ".join(one.rest for one in build.all("RUN"))
    installs = [step for step in re.split(r"\s*&&\s*", steps) if re.match(r"uv (sync|build|pip)", step)]
    assert len(installs) == 3
    for step in installs:
        assert re.search(
            r"^uv sync --locked .*--no-build |^uv build .*--require-hashes |^uv pip .*--no-deps --no-index ", step
        ), step


def test_it_runs_as_a_high_number_without_a_name_and_is_process_1() -> None:
    user, group = LAST.last("USER").rest.split(":")
    assert int(user) == int(group) > 10_000
    assert LAST.last("ENTRYPOINT").exec == ["eureka-drain"]
    assert LAST.last("STOPSIGNAL").rest == "SIGTERM"
    # Whatever comes after it would be done as that user.
    assert {"RUN", "COPY"}.isdisjoint(one.word for one in _after(LAST, "USER"))


def test_its_numbers_are_the_settings() -> None:
    assert int(LAST.last("EXPOSE").rest) == Settings().http.port
    stated = re.search(r"shutdown_timeout \((\d+) s\)", TEXT)
    assert stated
    assert int(stated[1]) == Settings().shutdown_timeout.total_seconds()


def test_the_page_about_it_names_what_it_names() -> None:
    page = (ROOT / "docs" / "image.md").read_text()
    for base in EXTERNAL:
        assert f"inspect {base} " in page
        assert f"={base}@sha256:" in page
    assert f"| user | `{LAST.last('USER').rest}`" in page


def test_the_build_is_sent_what_it_copies_and_nothing_else() -> None:
    copied = {word for stage in STAGES for one in stage.all("COPY") if not one.flag("from") for word in one.words[:-1]}
    files = sent(ROOT)
    assert {file.parts[0] for file in files} == copied
    tracked = subprocess.run(["git", "ls-files", "--", *copied], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {str(file) for file in files} == set(tracked.stdout.splitlines())


def _after(stage: Stage, word: str) -> list[Instruction]:
    return stage.instructions[stage.instructions.index(stage.last(word)) :]


def test_reading_fills_in_arguments_and_joins_lines() -> None:
    stages = read(
        "# a comment\nARG BASE=python:3.11\nFROM ${BASE} AS build\n"
        "RUN --mount=type=cache,target=/c \\\n    # inside\n    one \\\n    && two\n"
        "FROM build\nCOPY --from=build /a /b\n"
    )
    assert [(stage.base, stage.name) for stage in stages] == [("python:3.11", "build"), ("build", "1")]
    [run] = stages[0].instructions
    assert (run.word, run.flag("mount"), run.rest.split()) == (
        "RUN",
        "type=cache,target=/c",
        ["one", "&&", "two"],
    )
    [copy] = stages[1].instructions
    assert (copy.flag("from"), copy.flag("chown"), copy.words) == ("build", None, ["/a", "/b"])


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ("", ["a.py", "b/c.py", "b/d/e.pyc"]),
        ("*", []),
        ("*\n!b", ["b/c.py", "b/d/e.pyc"]),
        ("*\n!b\n**/*.pyc", ["b/c.py"]),
        ("# a comment\n*.py", ["b/c.py", "b/d/e.pyc"]),
        ("b/*.py", ["a.py", "b/d/e.pyc"]),
        ("!b\n*", []),
    ],
)
def test_the_last_line_of_dockerignore_that_matches_decides(ignore: str, kept: list[str], tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "b/d/e.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".dockerignore").write_text(ignore)
    assert sorted(str(file) for file in sent(tmp_path) if file.name != ".dockerignore") == kept
