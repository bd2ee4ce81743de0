"""Which drains somebody wants to see or to replay: the filters of the command line, of the API and of the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from controller.domain.drain_record import DrainRecord
from controller.domain.durations import parse_duration
from controller.domain.events import Outcome


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
    ids: frozenset[str] = frozenset()

    def wants(self, record: DrainRecord) -> bool:
        """Whether this drain is one of them. By time: when something was told of it between ``since`` and ``until``."""
        return (
            (self.since is None or record.last_at >= self.since)
            and (self.until is None or record.began_at <= self.until)
            and (not self.states or record.state in self.states)
            and self.fits(
                region=record.region,
                namespace=record.namespace,
                pod=record.key,
                apps=record.apps,
                drain_id=record.drain_id,
            )
        )

    def fits(self, *, region: str, namespace: str, pod: str, apps: Iterable[str], drain_id: str) -> bool:
        """Whether something of this region, pod, apps and id is chosen, times and states aside."""
        return (
            (not self.region or region == self.region)
            and (not self.app or self.app.upper() in apps)
            and (not self.namespace or namespace == self.namespace)
            and (not self.pod or fnmatchcase(pod, self.pod))
            and (not self.ids or drain_id in self.ids)
        )


def select(
    *,
    now: datetime,
    since: str = "",
    until: str = "",
    region: str = "",
    app: str = "",
    namespace: str = "",
    pod: str = "",
    states: Iterable[str] = (),
    ids: Iterable[str] = (),
) -> Selection:
    """Read filters as people write them; SelectionError names the one that is wrong."""
    if pod and pod.count("/") != 1:
        raise SelectionError(f"pod: {pod[:80]!r} is not NAMESPACE/NAME")
    return Selection(
        since=moment("since", since, now) if since else None,
        until=moment("until", until, now) if until else None,
        region=region,
        app=app,
        namespace=namespace,
        pod=pod,
        states=frozenset(_state(part.strip()) for text in states for part in text.split(",") if part.strip()),
        ids=frozenset(part.strip() for text in ids for part in text.split(",") if part.strip()),
    )


def moment(name: str, text: str, now: datetime) -> datetime:
    """Read a time, or how long ago it was."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text.strip())
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SelectionError(
            f"{name}: {text[:40]!r} is neither a duration like 30m, 2h, 7d nor a time like 2026-01-31T22:00:00Z"
        ) from None
    return max(at, now - timedelta(days=3650))


def _state(text: str) -> Outcome:
    try:
        return Outcome(text)
    except ValueError:
        raise SelectionError(f"state: {text[:40]!r} is none of {', '.join(Outcome)}") from None
