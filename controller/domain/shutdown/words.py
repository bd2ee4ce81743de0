"""A shell's text cut into words and operators, as far as it is needed to see what a hook does."""

from __future__ import annotations

import re
from dataclasses import dataclass


class UnreadableError(ValueError):
    """A text that cannot be judged; its text says what stands in the way."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word, without its quotes."""

    text: str
    expands: bool = False
    """The shell puts something else in its place: a variable, or what a command says."""
    quoted: bool = False
    """Some of it stood in quotes, so that it is no keyword."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What stands between commands; a new line is ``;``."""

    text: str


Token = Word | Operator

_BLANK = re.compile(r"(?:[ \t]|\\\n)+")
"""A no-break space that was copied from a web page is none, and neither is a carriage return."""
_COMMENT = re.compile(r"#[^\n]*")
_REDIRECTION = re.compile(r"&>>?|\d*(?:>>|>\||>&|<&|<>|>|<)")
_OPERATOR = re.compile(r"&&|\|\||;;|\|&|[;&|()\n]")
_PLAIN = re.compile(r"[^ \t\n\\'\"`$;&|()<>]+")
_NAMED = re.compile(r"\$[A-Za-z0-9_@*#?!$-]")
_SLEEP = re.compile(r"\bsleep\b")


def tokens_of(text: str) -> list[Token]:
    """Cut it; redirections and comments are left out. UnreadableError for what a look like this cannot follow."""
    found: list[Token] = []
    at = 0
    to_a_file = False
    while at < len(text):
        if (skipped := _BLANK.match(text, at) or _COMMENT.match(text, at)) is not None:
            at = skipped.end()
        elif text.startswith(("<<", "<(", ">("), at):
            raise UnreadableError("reads from a here-document or from another command")
        elif (redirection := _REDIRECTION.match(text, at)) is not None:
            at, to_a_file = redirection.end(), True
        elif (operator := _OPERATOR.match(text, at)) is not None:
            at, to_a_file = operator.end(), False
            found.append(Operator(";" if operator[0] in ("\n", ";;") else operator[0]))
        else:
            word, at = _word(text, at)
            if not to_a_file:
                found.append(word)
            to_a_file = False
    return found


def _word(text: str, at: int) -> tuple[Word, int]:
    parts: list[str] = []
    expands = quoted = False
    while at < len(text):
        char = text[at]
        if (plain := _PLAIN.match(text, at)) is not None:
            parts.append(plain[0])
            at = plain.end()
        elif char == "\\":
            parts.append(text[at + 1 : at + 2].strip("\n"))
            quoted, at = True, at + 2
        elif char == "'":
            end = _find(text, "'", at + 1)
            parts.append(text[at + 1 : end])
            quoted, at = True, end + 1
        elif char == '"':
            part, inside, at = _in_double_quotes(text, at + 1)
            parts.append(part)
            quoted, expands = True, expands or inside
        elif char in "$`":
            part, inside, at = _expansion(text, at)
            parts.append(part)
            expands = expands or inside
        else:
            break
    return Word("".join(parts), expands, quoted), at


def _in_double_quotes(text: str, at: int) -> tuple[str, bool, int]:
    parts: list[str] = []
    expands = False
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(parts), expands, at + 1
        if char == "\\":
            escaped = text[at + 1 : at + 2]
            parts.append("" if escaped == "\n" else escaped if escaped in '$`"\\' else char + escaped)
            at += 2
        elif char in "$`":
            part, inside, at = _expansion(text, at)
            parts.append(part)
            expands = expands or inside
        else:
            parts.append(char)
            at += 1
    raise UnreadableError("has quotes that do not match")


def _expansion(text: str, at: int) -> tuple[str, bool, int]:
    """What begins with ``$`` or a backtick; a lonely ``$`` is one."""
    if text[at] == "`":
        end = _find(text, "`", at + 1) + 1
    elif text.startswith(("$(", "${"), at):
        end = _closed(text, at + 1)
    elif (named := _NAMED.match(text, at)) is not None:
        return named[0], True, named.end()
    else:
        return "$", False, at + 1
    if _SLEEP.search(text, at, end):
        raise UnreadableError("sleeps inside of $( )")
    return text[at:end], True, end


def _closed(text: str, at: int) -> int:
    """Where what is opened at ``at`` is closed."""
    opening = text[at]
    closing = ")" if opening == "(" else "}"
    depth = 0
    for place in range(at, len(text)):
        depth += (text[place] == opening) - (text[place] == closing)
        if depth == 0:
            return place + 1
    raise UnreadableError(f"has a ${opening} that is not closed")


def _find(text: str, char: str, at: int) -> int:
    found = text.find(char, at)
    if found < 0:
        raise UnreadableError("has quotes that do not match")
    return found
