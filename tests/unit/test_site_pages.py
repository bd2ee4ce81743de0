"""The site: every page is in it, every link leads somewhere, and what leaves docs/ leads to the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder / "site")]
    kept = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False)


def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def test_every_page_is_built_and_links_lead_to_what_is_there(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    ended = build(folder, REPOSITORY_URL="https://example.org/eureka-drain")
    assert ended.returncode == 0, ended.stderr[-3_000:]
    pages = {one.relative_to(ROOT / "docs").with_suffix("") for one in (ROOT / "docs").rglob("*.md")}
    built = {one.parent.relative_to(folder / "site") for one in (folder / "site").rglob("index.html")}
    assert {one.parent if one.name == "index" else one for one in pages} == built
    index = (folder / "site" / "index.html").read_text()
    assert 'href="https://example.org/eureka-drain/blob/main/CONTRIBUTING.md"' in index
    assert "fonts.googleapis" not in index


def test_a_link_to_nowhere_fails(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    page = folder / "docs" / "install.md"
    page.write_text(page.read_text() + "\n[nowhere](nowhere.md) [gone](window.md#gone)\n")
    ended = build(folder)
    assert ended.returncode != 0
    assert "nowhere.md" in ended.stderr
    assert "#gone" in ended.stderr
