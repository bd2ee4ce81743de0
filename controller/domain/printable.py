"""Text from outside, made fit for a terminal, a log line, or a line of a stream."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Replace everything that a terminal would obey, or that would begin another line.

    >>> printable("a\x1b[2J\nb\u202ec")
    'a?[2J?b?c'
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
