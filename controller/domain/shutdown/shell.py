"""What a shell does with the text that people write after ``sh -c``, as far as it can be told.

Not a shell: what depends on anything but the text itself (loops, conditions, variables, files) is not guessed at. What
runs only when something else failed (after ``||``) counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.domain.shutdown.hook_course import IMMEDIATE, MAX_DEPTH, HookCourse, lost
from controller.domain.shutdown.programs import command_course, is_assignment
from controller.domain.shutdown.words import Operator, Token, UnreadableError, Word, tokens_of

MAX_HOOK_LENGTH = 20_000
"""Characters; nobody writes more into a hook by hand."""
UNMATCHED = "has brackets that do not match"
HINGES = "may be over early: that depends on what stands before && or ||"
SKIPPED = "what stands after && is skipped when what stands before it fails"
_STRUCTURES = {
    **dict.fromkeys(("while", "until", "for", "select"), "has a loop"),
    **dict.fromkeys(("if", "case", "[["), "has a condition"),
    "function": "has a function",
    **dict.fromkeys((".", "source"), "reads a script"),
    "eval": "runs what it puts together itself",
}


def script_course(text: str, depth: int = 0) -> HookCourse:
    """What a shell does with it."""
    if len(text) > MAX_HOOK_LENGTH or depth > MAX_DEPTH:
        return lost("is too long to be judged")
    try:
        tokens = tokens_of(text)
    except UnreadableError as error:
        return lost(str(error))
    return _Script(tokens, lambda inner: script_course(inner, depth + 1)).course()


class _Script:
    """Reads tokens from the left; each method reads one thing of the shell's grammar and tells its course."""

    def __init__(self, tokens: list[Token], run_script: Callable[[str], HookCourse]) -> None:
        self._tokens = tokens
        self._run_script = run_script
        self._at = 0
        self._depth = 0
        self._lost = ""
        """Why nothing from here on can be told."""

    def course(self) -> HookCourse:
        course = self._list()
        if not self._lost and self._at < len(self._tokens):
            self._lost = UNMATCHED
        # A shell that cannot read a text to its end runs nothing of it.
        begun = IMMEDIATE if self._lost == UNMATCHED else course
        return begun.then(lost(self._lost)) if self._lost else course

    def _list(self) -> HookCourse:
        course = IMMEDIATE
        while not self._lost and self._at < len(self._tokens) and not self._closes():
            one = self._chain()
            if self._takes("&"):
                # Nobody waits for it; but what it does to the application, it does at some time.
                away = one.over or one.unknown
                one = lost("does something in the background") if away else HookCourse(acts=one.acts)
            else:
                self._takes(";")
            course = course.then(one)
        return course

    def _chain(self) -> HookCourse:
        course = self._pipe()
        while not self._lost:
            if self._takes("&&"):
                later = self._pipe()
                if course.may_fail and later.seconds:
                    later = replace(later, notes=(*later.notes, SKIPPED))
                if course.may_fail and later.over:
                    later = replace(later, over="", hinges=HINGES)
                course = course.then(later)
            elif self._takes("||"):
                other = self._pipe()
                hinges = HINGES if course.may_fail and other.over else ""
                course = course.then(HookCourse(acts=other.acts, notes=other.notes, hinges=hinges))
            else:
                break
        return course

    def _pipe(self) -> HookCourse:
        course = self._command()
        while not self._lost and (self._takes("|") or self._takes("|&")):
            course = course.beside(self._command())
        return course

    def _command(self) -> HookCourse:
        inverted = False
        while self._takes_word("!"):
            inverted = True
        course = self._plain_command()
        return replace(course, may_fail=True) if inverted else course

    def _plain_command(self) -> HookCourse:
        if self._takes("("):
            return self._group(")").inside()
        if self._takes_word("{"):
            return self._group("}")
        words: list[Word] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if isinstance(token, Operator):
                break
            words.append(token)
            self._at += 1
        while words and is_assignment(words[0]):
            words = words[1:]
        if words and not words[0].quoted and words[0].text in _STRUCTURES:
            return self._lose(_STRUCTURES[words[0].text])
        if words and self._takes("("):
            return self._lose("has a function")
        return command_course(words, self._run_script)

    def _group(self, closing: str) -> HookCourse:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            return self._lose("is too deep to be judged")
        course = self._list()
        if not (self._takes(closing) or self._takes_word(closing) or self._lost):
            return self._lose(UNMATCHED)
        self._depth -= 1
        return course

    def _lose(self, why: str) -> HookCourse:
        self._lost = self._lost or why
        return IMMEDIATE

    def _closes(self) -> bool:
        token = self._tokens[self._at]
        return token == Operator(")") or token == Word("}")

    def _takes(self, operator: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == Operator(operator):
            self._at += 1
            return True
        return False

    def _takes_word(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == Word(word):
            self._at += 1
            return True
        return False
