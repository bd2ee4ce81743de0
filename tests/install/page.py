"""The shell blocks of docs/install.md by section, with hosts of the tests in the place of the page's."""

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "install.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, list[str]]:
    """The commands of each section, a block a string."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return {title: _BLOCK.findall(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def with_hosts(block: str, hosts: Mapping[str, str]) -> str:
    """Every host of the page must be replaced by one of ours: else it would be asked for in earnest."""
    for there, here in hosts.items():
        block = block.replace(there, here)
    left = re.findall(r"[a-z0-9.-]+\.infra\b", block)
    assert not left, f"hosts without one of ours: {left}"
    return block
