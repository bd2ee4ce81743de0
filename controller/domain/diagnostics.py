"""What ``doctor`` finds, and how severe it is. Pure: adapters look, this explains what it means and how to fix it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache

from controller.domain.instances import Instance
from controller.domain.ownership import CLOCK_SKEW

MAX_EXAMPLES = 3
"""Examples in one line."""
MAX_QUIET_SKEW = timedelta(seconds=5)
MATCHES = "pods found in the registry"


class Severity(StrEnum):
    """How a check came out. Only ``wrong`` makes doctor fail."""

    ok = "ok"
    advice = "advice"
    wrong = "wrong"
    skipped = "skipped"
    """It could not be looked at, because of something that has a check of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    area: str
    """kubernetes, broker, or ``region NAME``."""
    what: str
    severity: Severity
    found: str = ""
    fix: str = ""


def named(names: Iterable[str]) -> str:
    """Return a few of them, and how many more there are."""
    every = list(names)
    more = len(every) - MAX_EXAMPLES
    return ", ".join(every[:MAX_EXAMPLES]) + (f" and {more} more" if more > 0 else "")


@lru_cache(16)  # a node says the same for a second
def read_http_date(text: str) -> datetime | None:
    """Return the time of an HTTP Date header, None when it is none."""
    try:
        at = parsedate_to_datetime(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def check_clock(
    area: str,
    whose: str,
    shown_at: datetime | None,
    begun_at: datetime,
    ended_at: datetime,
    *,
    is_corrected: bool = False,
) -> Check:
    """Compare another machine's clock with ours, which stood between these two times when it was read.

    Registrations are compared with pods' times, with CLOCK_SKEW allowed for. ``is_corrected``: the difference is made
    up for wherever that clock's times are used.
    """
    what = f"clock of {whose}"
    if shown_at is None:
        return Check(area=area, what=what, severity=Severity.skipped, found="its answers bear no date")
    # The header has whole seconds, cut off.
    ahead, behind = shown_at - ended_at, begun_at - shown_at - timedelta(seconds=1)
    skew = max(ahead, behind, timedelta(0))
    if skew <= MAX_QUIET_SKEW:
        return Check(
            area=area, what=what, severity=Severity.ok, found="as ours, within the second that it can be read by"
        )
    found = f"{skew.total_seconds():.0f} s {'ahead of' if ahead > behind else 'behind'} ours"
    return Check(
        area=area,
        what=what,
        severity=Severity.wrong if skew > CLOCK_SKEW and not is_corrected else Severity.advice,
        found=found,
        fix="set both by NTP: the difference is made up for, as far as the date of its answers shows it"
        if is_corrected
        else f"set both by NTP: from {CLOCK_SKEW.total_seconds():.0f} s on, a successor is taken for the dead process",
    )


def check_peers(area: str, node: str, hosts: Sequence[str], peers: Sequence[str], unreached: Sequence[str]) -> Check:
    """Whether a node replicates to itself, or to somebody whom it does not see alive.

    ``hosts``: the host:port names by which the node is known. ``peers``, ``unreached``: those that it names itself.
    """
    what = f"peers of {node}"
    own = [peer for peer in peers if peer in hosts]
    if own:
        return Check(
            area=area,
            what=what,
            severity=Severity.wrong,
            found=f"it counts itself ({own[0]}) among its peers: deleted instances come straight back",
            fix="set eureka.instance.hostname to the host in the URL by which the other nodes name it",
        )
    if unreached:
        return Check(
            area=area,
            what=what,
            severity=Severity.advice,
            found=f"it does not know {named(unreached)} for a living instance of its own app",
            fix="usual when the servers do not register with each other (eureka.client.register-with-eureka: false); "
            "else look at the network between them",
        )
    return Check(area=area, what=what, severity=Severity.ok, found=named(peers) or "none")


def unlisted(peers_of: Mapping[str, Sequence[str]], listed: Iterable[str]) -> list[str]:
    """Peers (host:port) that nodes name and the settings do not."""
    known = set(listed)
    return sorted({peer for peers in peers_of.values() for peer in peers} - known)


def differing(
    held: Mapping[str, Mapping[tuple[str, str], Instance | None]],
) -> list[tuple[tuple[str, str], dict[str, str]]]:
    """Which instances nodes show differently: each with what every node says (``absent`` where it has none)."""
    keys = sorted({key for instances in held.values() for key in instances})
    found = []
    for key in keys:
        said = {node: _status_of(instances.get(key)) for node, instances in held.items()}
        if len(set(said.values())) > 1:
            found.append((key, said))
    return found


def _status_of(instance: Instance | None) -> str:
    return "absent" if instance is None else instance.status


def check_matches(area: str, found: int, reasons: Sequence[str], examples: Sequence[str], registered: int) -> Check:
    """Of the living pods that are routed to a region: how many have an instance there, and why the others have none.

    ``reasons`` and ``examples`` (pods) belong together, one each for a pod that was not found.
    """
    what, total = MATCHES, found + len(reasons)
    if not total:
        return Check(area=area, what=what, severity=Severity.skipped, found="no living pod is routed to this region")
    tally = Counter(reasons)
    first = {reason: pod for pod, reason in reversed(list(zip(examples, reasons, strict=True)))}
    why = "; ".join(f"{count} {reason} (such as {first[reason]})" for reason, count in tally.most_common())
    text = f"{found} of {total}" + (f"; {why}" if why else "")
    if not found and registered:
        return Check(
            area=area,
            what=what,
            severity=Severity.advice,
            found=f"none of {total}, although {registered} instances are registered; {why}",
            fix="right where no application of this cluster registers in this region; else compare the registered "
            "addresses with the pods': NAT? eureka.instance.prefer-ip-address: true registers the pod's own",
        )
    fix = (
        "pods that do not register need nothing; for the others see the annotations in docs/instances.md"
        if reasons
        else ""
    )
    return Check(area=area, what=what, severity=Severity.ok, found=text, fix=fix)
