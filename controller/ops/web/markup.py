"""The templates: everything that they are given is escaped, and their filters return text, never markup."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from controller.domain.events import Outcome
from controller.domain.instances import Condition
from controller.domain.printable import printable
from controller.domain.replay_plan import ReplayAction
from controller.domain.selection import FILTERS
from controller.domain.shutdown.verdict import ShutdownVerdict, safe_after, shutdown_of
from controller.domain.timeline import WHY, Moment, short_node
from controller.ops.rollout_tables import verdicts_text
from controller.ops.tables import duration_text

PACKAGE = "controller.ops.web"
STATIC = {"style.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
MARKS = {
    Outcome.requested: "…",
    Outcome.retrying: "▲",
    Outcome.out_of_service: "◐",
    Outcome.removed: "✓",
    Outcome.already_gone: "✓",
    Outcome.not_registered: "–",
    Outcome.refused: "!",
    Outcome.superseded: "→",
    Outcome.restored: "↺",
    Outcome.failed: "✗",
}
"""Beside its name, a state has a sign and a colour of its own: none of the three is needed to read it."""
CONDITION_MARKS = {
    Condition.out: "◐",
    Condition.in_service: "●",
    Condition.absent: "✓",
    Condition.unreachable: "✗",
    Condition.failing: "✗",
    Condition.denied: "✗",
}
SHUTDOWN_MARKS = {
    ShutdownVerdict.graceful: "✓",
    ShutdownVerdict.not_graceful: "✗",
    ShutdownVerdict.not_judged: "–",
}
ACTION_MARKS = {
    ReplayAction.drain: "▶",
    ReplayAction.refuse: "!",
    ReplayAction.under_way: "…",
    ReplayAction.out: "◐",
    ReplayAction.superseded: "→",
    ReplayAction.gone: "✓",
}


def environment(audiences: Sequence[str] = ()) -> Environment:
    """Make the environment of the templates: a name that is not given is a mistake.

    ``audiences``: what a Kubernetes token must be meant for, for the sign-in page.
    """
    made = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    named = (after, iso, precise, safe_after, segment, shell, state, utc, words)
    made.filters |= {one.__name__: one for one in named}
    made.filters |= {"node": short_node, "plain": plain, "shutdown": shutdown_of, "span": duration_text}
    made.filters["verdicts"] = verdicts_text
    meant_for = f" --audience {shell(audiences[0])}" if audiences else ""
    made.globals |= {
        "token_command": f"kubectl create token NAME{meant_for}",
        "causes": WHY,
        "condition_marks": CONDITION_MARKS,
        "shutdown_marks": SHUTDOWN_MARKS,
        "marks": MARKS,
        "form_filters": FILTERS,
        "static": static,
        "action_marks": ACTION_MARKS,
        "Action": ReplayAction,
        "ShutdownVerdict": ShutdownVerdict,
    }
    return made


def plain(text: object) -> str:
    """Write a text without control characters; nothing for None."""
    return "" if text is None else printable(str(text))


def iso(at: datetime) -> str:
    """Write a time for machines: the script shows it in the reader's zone."""
    return at.isoformat()


def utc(at: datetime) -> str:
    """Write a time for people, wherever they are."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def precise(at: datetime) -> str:
    """Write a time of a timeline, where the first second matters."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def after(length: timedelta | None) -> str:
    """Write how long after the beginning; nothing for what was before."""
    return "" if length is None else f"+{duration_text(length)}"


def state(moment: Moment) -> Outcome | None:
    """Return the state that a moment brought; None for a step, such as a request."""
    return None if moment.outcome is Outcome.requested else moment.outcome


def words(name: str) -> str:
    """Write a state as people say it, and as a screen reader can.

    >>> words("out_of_service")
    'out of service'
    """
    return name.replace("_", " ")


def segment(text: str) -> str:
    """Write one segment of a path, whatever it holds.

    >>> segment("a/../b")
    'a%2F..%2Fb'
    """
    return quote(text, safe="")


def shell(text: str) -> str:
    """Quote a word of a command that somebody will paste into a shell."""
    return shlex.quote(printable(text))


@cache
def static(name: str) -> str:
    """Return where a file is served; a new version has a new address, so that no browser mixes two."""
    return f"/static/{name}?v={sha256(content(name)).hexdigest()[:12]}"


@cache
def content(name: str) -> bytes:
    """Read a file of ``STATIC``."""
    return (files(PACKAGE) / "static" / name).read_bytes()


@cache
def picture_style() -> str:
    """Return what a picture that stands alone needs of the pages' style: both schemes' colours, and its own rules."""
    text = content("style.css").decode()
    colours = re.findall(
        r"^:root \{.*?^\}|^@media \(prefers-color-scheme: dark\) \{.*?^\}", text, re.MULTILINE | re.DOTALL
    )
    own = re.findall(r"^\.picture .*\}$", text, re.MULTILINE)
    alone = [
        "svg { font-family: system-ui, sans-serif; }",
        ".page { fill: var(--page); }",
        ".heading { font-weight: 700; }",
    ]
    return "\n".join([*colours, *own, *alone])
