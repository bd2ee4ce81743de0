"""The pages in Simplified Chinese: each names the state of the page that it translates, and has its commands."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRANSLATED = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs" / "zh").glob("*.md"))]
_SOURCE = re.compile(r"<!-- source: (\S+) ([0-9a-f]+) -->\n")
_BLOCK = re.compile(r"^ *```(?:sh|yaml)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s*(?<!\S)#.*")


def state_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def commands(text: str) -> list[list[str]]:
    """The blocks' lines without their comments."""
    blocks = [[_COMMENT.sub("", line).strip() for line in block.splitlines()] for block in _BLOCK.findall(text)]
    return [[line for line in lines if line] for lines in blocks]


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_a_translation_is_of_the_page_as_it_is(page: Path) -> None:
    text = page.read_text()
    found = _SOURCE.match(text)
    assert found is not None, f"{page.name} does not say what it translates"
    source = (ROOT / found[1]).read_text()
    assert found[2] == state_of(source), f"{found[1]} has changed: translate that, then write {state_of(source)}"
    assert commands(text) == commands(source)
    assert text.count("\n## ") == source.count("\n## ")


def test_there_is_one_of_the_readme_and_of_the_pages_that_a_newcomer_needs() -> None:
    names = ["README.zh-CN.md", "configuring.md", "install.md", "migrating.md", "operating.md"]
    assert [page.name for page in TRANSLATED] == names
