"""What a build is sent: the files that .dockerignore keeps."""

from __future__ import annotations

import os
import re
from pathlib import Path


def sent(context: Path) -> list[Path]:
    """The files, relative to the context: those that the last matching line keeps, and those that none matches."""
    text = (context / ".dockerignore").read_text()
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    rules = [(line.startswith("!"), _pattern(line.removeprefix("!"))) for line in lines]
    files = []
    for folder, folders, names in os.walk(context):
        # Large, and never wanted.
        folders[:] = [name for name in folders if name not in (".git", ".venv")]
        files += [(Path(folder) / name).relative_to(context) for name in names]
    return [file for file in files if _is_kept(file, rules)]


def _is_kept(file: Path, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    # A line about a folder is about everything below it.
    paths = [path.as_posix() for path in (file, *file.parents)]
    verdicts = [keeps for keeps, pattern in rules if any(pattern.fullmatch(path) for path in paths)]
    return verdicts[-1] if verdicts else True


def _pattern(line: str) -> re.Pattern[str]:
    """``*`` stays within a folder, ``**`` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*)", line)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(meanings.get(part, re.escape(part)) for part in parts))
