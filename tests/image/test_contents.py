"""What is in the image, after the Dockerfile's steps have been performed."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from tests.image.dockerfile import ROOT
from tests.image.performing import Image
from tests.image.running import run
from tests.stack.prerequisites import uv

BUILDERS = {"uv", "uvx", "pip", "pip3", "gcc", "cc", "g++", "ld", "as", "make", "cargo", "rustc", "apt", "dpkg", "git"}


@pytest.fixture(scope="module")
def packages(image: Image) -> Path:
    [folder] = (image.root / "opt" / "eureka-drain" / "lib").glob("python3*/site-packages")
    return folder


@pytest.fixture(scope="module")
def installed(packages: Path) -> dict[str, Distribution]:
    return {_plain(one.name): one for one in distributions(path=[str(packages)])}


@pytest.fixture(scope="module")
def wheel(images: dict[str, Image]) -> set[str]:
    """The names of the files in the wheel."""
    [file] = (images["build"].root / "src" / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_whole_program_and_nothing_else(wheel: set[str]) -> None:
    listed = ["git", "ls-files", "controller"]
    tracked = set(subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())
    assert {name for name in wheel if ".dist-info/" not in name} == tracked
    assert {Path(name).suffix for name in tracked} >= {".py", ".html", ".css", ".js", ".svg"}


def test_what_is_installed_is_what_the_bill_of_materials_says(installed: dict[str, Distribution]) -> None:
    [arguments] = re.findall(r"^uv (export .*cyclonedx.*)$", (ROOT / "docs" / "image.md").read_text(), re.MULTILINE)
    words = [uv(), *arguments.split()]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    bill = json.loads(output)
    listed = {
        _plain(one["name"]): one["version"]
        for one in bill["components"]
        if not any(p["name"] == "uv:package:marker" and "win32" in p["value"] for p in one.get("properties", ()))
    }
    program = bill["metadata"]["component"]
    listed[program["name"]] = program["version"]
    assert {name: one.version for name, one in installed.items()} == listed


def test_the_program_is_installed_from_its_wheel_and_not_from_its_source(packages: Path) -> None:
    [direct] = packages.glob("eureka_drain-*.dist-info/direct_url.json")
    assert json.loads(direct.read_text())["url"].endswith(".whl")
    assert (packages / "controller" / "cli" / "__init__.py").is_file()


def test_every_module_is_compiled_since_nothing_can_be_written_later(packages: Path) -> None:
    modules = list((packages / "controller").rglob("*.py"))
    assert modules
    for module in modules:
        assert list((module.parent / "__pycache__").glob(f"{module.stem}.*.pyc")), module


def test_no_builder_and_no_installer_is_in_it(image: Image, installed: dict[str, Distribution]) -> None:
    files = {path.name for path in image.root.rglob("*") if not path.is_dir()}
    assert "eureka-drain" in files
    assert files.isdisjoint(BUILDERS)
    assert installed.keys().isdisjoint({"pip", "setuptools", "wheel", "hatchling", "uv", "pytest"})


def test_python_cannot_bring_an_installer_back(image: Image) -> None:
    python = image.root / "usr" / "local" / "bin" / "python3"
    for module in ("pip", "setuptools", "wheel", "ensurepip"):
        output = _inside(image, python.name, "-c", f"import {module}")
        assert f"No module named '{module}'" in output, module


def test_nothing_of_the_build_is_in_it(image: Image) -> None:
    assert not (image.root / "src").exists()
    for folder in ("tmp", "root"):
        assert not list((image.root / folder).iterdir())


def test_the_programs_user_may_read_everything_and_change_nothing(image: Image) -> None:
    # As the engine's COPY does, these tests' keeps owners and modes.
    paths = [image.root, *(path for path in (image.root / "opt").rglob("*") if not path.is_symlink())]
    assert len(paths) > 100
    for path in paths:
        facts = path.lstat()
        needed = 0o005 if path.is_dir() else 0o004
        assert (facts.st_uid, facts.st_gid) == (0, 0), path
        assert facts.st_mode & needed == needed, path
        assert not facts.st_mode & 0o022, path


async def test_nobody_in_it_has_the_programs_number(image: Image) -> None:
    user = image.user.partition(":")[0]
    assert f":{user}:" not in (image.root / "etc" / "passwd").read_text()
    # Set, since a library will not even be imported without it; but it is nowhere.
    assert not (image.root / image.environment["HOME"].lstrip("/")).exists()
    assert (await run(image, "--help")).status == 0


def _inside(image: Image, *command: str) -> str:
    ended = subprocess.run(
        ["unshare", "--root", str(image.root), *command],
        env=image.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stderr


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
