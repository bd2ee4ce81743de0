"""Which drains somebody wants to see or to replay, and the filters that say so.

The options of the command line, the parameters of the API with their description, and the form of the page are made
from ``FILTERS``. A new filter is an entry there, a field of ``Selection``, and a line in ``wants`` or in ``fits``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from controller.domain.drain_record import DrainRecord
from controller.domain.durations import parse_duration
from controller.domain.events import Outcome
from controller.domain.reason import ReasonCode

MAX_AGE = timedelta(days=3650)
"""A time that lies further back is read as this."""


class SelectionError(ValueError):
    """A filter that cannot be followed; its text names it and says how it is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which drains; empty: all. ``pod`` is ``namespace/name``, and may hold ``*``."""

    since: datetime | None = None
    until: datetime | None = None
    region: str = ""
    app: str = ""
    namespace: str = ""
    pod: str = ""
    states: frozenset[Outcome] = frozenset()
    reason_codes: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    def wants(self, record: DrainRecord) -> bool:
        """Return whether this drain is one of them; by time, when it had an event between ``since`` and ``until``."""
        return (
            (self.since is None or record.last_at >= self.since)
            and (self.until is None or record.began_at <= self.until)
            and (not self.states or record.state in self.states)
            and (not self.reason_codes or (record.reason is not None and record.reason.code in self.reason_codes))
            and self.fits(
                region=record.region,
                namespace=record.namespace,
                pod=record.key,
                apps=record.apps,
                drain_id=record.drain_id,
            )
        )

    def fits(self, *, region: str, namespace: str, pod: str, apps: Iterable[str], drain_id: str) -> bool:
        """Return whether something of this region, pod, apps and id is chosen, times and states aside."""
        return (
            (not self.region or region == self.region)
            and (not self.app or self.app.upper() in apps)
            and (not self.namespace or namespace == self.namespace)
            and (not self.pod or fnmatchcase(pod, self.pod))
            and (not self.ids or drain_id in self.ids)
        )


def _read_text(text: str, _: datetime) -> str:
    return text


def _read_moment(text: str, now: datetime) -> datetime:
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text.strip())
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is neither a duration like 30m, 2h, 7d nor a time like 2026-01-31T22:00:00Z"
        ) from None
    return max(at, now - MAX_AGE)


def _read_pod(text: str, _: datetime) -> str:
    if text.count("/") != 1:
        raise ValueError(f"{text[:80]!r} is not NAMESPACE/NAME")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter. It is called ``name`` wherever it is given, and ``label`` on the page."""

    name: str
    field: str
    """The field of ``Selection`` that it fills; a set of values when it is repeatable."""
    label: str
    about: str
    metavar: str = "NAME"
    example: str = "any"
    """What the empty field of a form shows."""
    read: Callable[[str, datetime], object] = _read_text
    """From one text and the time now to a value. ValueError says how it is meant."""
    repeatable: bool = False
    """Given several times, or once with commas."""
    choices: tuple[str, ...] = ()
    """What may be given; empty: anything that can be read."""
    typed: bool = True
    """The form has a field for it; else a box for each choice."""
    pattern: str = ""
    short: str = ""
    """The option of one letter."""
    needs_record: bool = False
    """A dead letter cannot be asked for it."""


AGO = "AGO|TIME"
FILTERS = (
    Filter(
        name="pod", field="pod", label="Pod", about="Of this pod; * stands for anything.",
        metavar="NS/NAME", example="shop/orders-*", read=_read_pod, pattern="^([^/]*/[^/]*)?$",
    ),
    Filter(name="app", field="app", label="App", about="Of this Eureka application.", example="ORDERS"),
    Filter(
        name="namespace", field="namespace", label="Namespace", about="Of this namespace.", example="shop", short="-n"
    ),
    Filter(name="region", field="region", label="Region", about="Of this region.", example="eu"),
    Filter(
        name="since", field="since", label="Since", needs_record=True,
        about="With news since then: 2h, 30m, 7d ago, or a time such as 2026-01-31T22:00:00Z.",
        metavar=AGO, example="2h, 7d, or a time", read=_read_moment,
    ),
    Filter(
        name="until", field="until", label="Until", needs_record=True, about="Begun before then: written like since.",
        metavar=AGO, example="30m, or a time", read=_read_moment,
    ),
    Filter(
        name="state", field="states", label="State now", needs_record=True, about="In this state, for example failed.",
        metavar="STATE", read=lambda text, _: Outcome(text), repeatable=True, choices=tuple(Outcome),
        typed=False,
    ),
    Filter(
        name="reason_code", field="reason_codes", label="Reason code", metavar="CODE",
        about="For this reason, for example unreachable.", repeatable=True, choices=tuple(ReasonCode),
    ),
    Filter(
        name="id", field="ids", label="Drain id", about="This drain.", metavar="DRAIN_ID", repeatable=True
    ),
)  # fmt: skip
"""Every filter, in the order of the page's form."""
ROLLOUT_FILTERS = tuple(one for one in FILTERS if one.name in ("app", "namespace", "region", "since", "until"))
"""Those that choose whole rollouts: others would leave pods out of them."""


def split(one: Filter, given: str | Sequence[str]) -> list[str]:
    """Return the texts that a filter was given, without empty ones."""
    texts = [given] if isinstance(given, str) else given
    if not one.repeatable:
        return [text for text in texts if text][:1]
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def select(given: Mapping[str, str | Sequence[str]], now: datetime) -> Selection:
    """Read filters as people write them; SelectionError names the one that is wrong."""
    fields: dict[str, Any] = {}
    for one in FILTERS:
        texts = split(one, given.get(one.name, ()))
        try:
            if one.choices and (unknown := [text for text in texts if text not in one.choices]):
                raise ValueError(f"{unknown[0][:40]!r} is none of {', '.join(one.choices)}")
            if texts:
                values = [one.read(text, now) for text in texts]
                fields[one.field] = frozenset(values) if one.repeatable else values[0]
        except ValueError as error:
            raise SelectionError(f"{one.name}: {error}") from None
    return Selection(**fields)
