"""A Dockerfile as stages of instructions. What it does not understand is an error, never skipped."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word, its flags (``--from=build``), and what follows them as it is written."""

    word: str
    flags: tuple[tuple[str, str], ...]
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows as a shell would split it."""
        return shlex.split(self.rest)

    @property
    def pairs(self) -> dict[str, str]:
        """What follows as names with values."""
        return dict(word.split("=", 1) for word in self.words)

    @property
    def exec(self) -> list[str]:
        """What follows in the exec form, the only one that makes the program process 1."""
        words: list[str] = json.loads(self.rest)
        return words

    def flag(self, name: str) -> str | None:
        """One flag's value."""
        return dict(self.flags).get(name)


@dataclass(slots=True)
class Stage:
    """One stage: what it starts from, with the arguments filled in, and what it does."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        """Its instructions of one kind."""
        return [one for one in self.instructions if one.word == word]

    def last(self, word: str) -> Instruction:
        """The one that counts."""
        return self.all(word)[-1]


def read(text: str) -> list[Stage]:
    """The stages, in order."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in _lines(text):
        one = _instruction(line)
        if one.word == "ARG" and not stages:
            arguments |= one.pairs
        elif one.word == "FROM":
            base, *named = _filled(one.rest, arguments).split()
            stages.append(Stage(base, named[1] if named else str(len(stages))))
        else:
            stages[-1].instructions.append(one)
    return stages


def _filled(text: str, arguments: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda found: arguments[found[1]], text)


def _lines(text: str) -> list[str]:
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    return [line.strip() for line in kept.replace("\\\n", " ").splitlines() if line.strip()]


def _instruction(line: str) -> Instruction:
    word, _, rest = line.partition(" ")
    flags = []
    while found := re.match(r"\s*--([\w-]+)=(\S+)\s+", rest):
        flags.append((found[1], found[2]))
        rest = rest[found.end() :]
    return Instruction(word.upper(), tuple(flags), rest.strip())
