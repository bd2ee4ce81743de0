"""The templates: everything that they are given is escaped, and what their filters make is text, never markup."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from controller.domain.events import Outcome
from controller.domain.instances import Condition
from controller.domain.replay_plan import ReplayAction
from controller.domain.shutdown.verdict import ShutdownVerdict, safe_after, shutdown_of
from controller.domain.timeline import WHY, Moment, short_node
from controller.ops.tables import duration_text, printable

PACKAGE = "controller.ops.web"
STATIC = {"style.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
MARKS = {
    Outcome.requested: "…",
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
LEAVE_MARKS = {
    ShutdownVerdict.graceful: "✓",
    ShutdownVerdict.not_graceful: "✗",
    ShutdownVerdict.unjudged: "–",
}
VERDICT_MARKS = {
    ReplayAction.drain: "▶",
    ReplayAction.refuse: "!",
    ReplayAction.under_way: "…",
    ReplayAction.out: "◐",
    ReplayAction.superseded: "→",
    ReplayAction.gone: "✓",
}


def environment() -> Environment:
    """The templates. Everything is escaped; a name that is not given is a mistake."""
    made = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "after": after,
        "iso": iso,
        "leave": shutdown_of,
        "node": short_node,
        "plain": printable,
        "precise": precise,
        "safe_after": safe_after,
        "segment": segment,
        "shell": shell,
        "span": duration_text,
        "told": told,
        "utc": utc,
        "words": words,
    }
    made.globals |= {
        "causes": WHY,
        "condition_marks": CONDITION_MARKS,
        "leave_marks": LEAVE_MARKS,
        "marks": MARKS,
        "outcomes": list(Outcome),
        "static": static,
        "verdict_marks": VERDICT_MARKS,
        "Grace": ShutdownVerdict,
        "Verdict": ReplayAction,
    }
    return made


def iso(at: datetime) -> str:
    """A time for machines: the script finds it there and shows it in the reader's zone."""
    return at.isoformat()


def utc(at: datetime) -> str:
    """A time for people, wherever they are."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def precise(at: datetime) -> str:
    """A time of a timeline, where the first second matters."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def after(length: timedelta | None) -> str:
    """How long after the beginning; clocks of several machines may put it before."""
    if length is None:
        return ""
    return f"−{duration_text(-length)}" if length < timedelta(0) else f"+{duration_text(length)}"


def told(moment: Moment) -> Outcome | None:
    """The state that a moment brought; None for a step. That a drain was asked for is a step, unless it got stuck."""
    return None if moment.outcome is Outcome.requested and moment.what != "trouble" else moment.outcome


def words(name: str) -> str:
    """A state as people say it, and as a screen reader can.

    >>> words("out_of_service")
    'out of service'
    """
    return name.replace("_", " ")


def segment(text: str) -> str:
    """One segment of a path, whatever it holds.

    >>> segment("a/../b")
    'a%2F..%2Fb'
    """
    return quote(text, safe="")


def shell(text: str) -> str:
    """A word of a command that somebody will paste into a shell."""
    return shlex.quote(printable(text))


@cache
def static(name: str) -> str:
    """Where a file is served; a new version has a new address, so that no browser mixes two."""
    return f"/static/{name}?v={sha256(content(name)).hexdigest()[:12]}"


@cache
def content(name: str) -> bytes:
    """A file of ``STATIC``."""
    return (files(PACKAGE) / "static" / name).read_bytes()
