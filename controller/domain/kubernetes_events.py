"""What is reported at a drain's pod: Kubernetes Events, for whoever runs ``kubectl describe pod``. Pure.

Only what a person would act upon, or look for after a rollout, becomes a event; the event log holds everything. Its
name is derived from the event's id, so that replicas do not repeat each other. Reasons, apps and ids come from servers
and pods: whatever is in them, a event is one printable, bounded line.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.durations import elapsed
from controller.domain.events import Event, Outcome
from controller.domain.pods import Owner
from controller.domain.printable import printable
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict

MAX_MESSAGE_BYTES = 1_024
"""Bytes: what the API server admits in an event of its newer kind."""
MAX_APP_LENGTH, MAX_ID_LENGTH = 100, 250
"""Characters: the reason must have room beside them."""
MAX_EVENT_NAME_LENGTH = 253
MARK = 16
"""Characters of the event's id in the event's name."""

_DRAIN_ID = re.compile(r"[a-z0-9]{1,64}")
_MARK = re.compile(r"[0-9a-f]{16}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesEvent:
    """One line about a pod, in the words that Kubernetes has for it."""

    name: str
    """A DNS subdomain; the same event reported twice has the same one."""
    namespace: str
    pod: str
    uid: str
    reason: str
    """One word in camel case, for filters."""
    warning: bool
    message: str
    at: datetime
    """When it came to this."""
    drain_id: str = ""
    owner: Owner | None = None
    """Where it is reported instead of at the pod, whose object is gone."""


def drain_event(event: Event) -> KubernetesEvent | None:
    """Compose what is reported at a pod; None when nothing is, and for what no pod of a cluster can have been."""
    reason = _reason(event.outcome)
    mark = event.event_id[:MARK]
    if reason is None or not (_LABEL.fullmatch(event.namespace) and _MARK.fullmatch(mark)):
        return None
    return KubernetesEvent(
        name=_name(event.pod, mark),
        namespace=event.namespace,
        pod=event.pod,
        uid=event.uid,
        reason=reason,
        warning=event.outcome in (Outcome.refused, Outcome.failed),
        message=_line(_sentence(event), MAX_MESSAGE_BYTES),
        at=event.at,
        drain_id=event.drain_id,
    )


def shutdown_event(record: DrainRecord, shutdown: Shutdown) -> KubernetesEvent | None:
    """Make the event about a pod's own shutdown; None where the verdict is neither good nor bad."""
    end = record.end
    if (
        end is None
        or end.ended_at is None
        or shutdown.verdict not in (ShutdownVerdict.graceful, ShutdownVerdict.not_graceful)
    ):
        return None
    if not _LABEL.fullmatch(record.namespace):
        return None
    return KubernetesEvent(
        name=_name(record.pod, hashlib.sha256(f"{record.drain_id}\0shutdown".encode()).hexdigest()[:MARK]),
        namespace=record.namespace,
        pod=record.pod,
        uid=record.uid,
        reason="Graceful" if shutdown.verdict is ShutdownVerdict.graceful else "NotGraceful",
        warning=shutdown.verdict is ShutdownVerdict.not_graceful,
        message=_line(_shutdown_message(record, shutdown, end.ended_at), MAX_MESSAGE_BYTES),
        at=end.at,
        drain_id=record.drain_id,
    )


def _shutdown_message(record: DrainRecord, shutdown: Shutdown, ended_at: datetime) -> str:
    region = f"Eureka region {record.region}" if record.region else "Eureka"
    text = shutdown.text[0].upper() + shutdown.text[1:] + (f": {shutdown.reason}" if shutdown.reason else "")
    if record.safe_at is None:
        return f"{text} ({region})"
    used = f"callers in {region} may have used it until {record.safe_at:%H:%M:%S}Z"
    return f"{text}. It ended at {ended_at:%H:%M:%S}Z; {used}"


def addressed_to(event: KubernetesEvent, owner: Owner) -> KubernetesEvent:
    """Tell the pod's owner instead, which has many pods: so the line begins with the pod's name."""
    return replace(event, owner=owner, message=_line(f"Pod {event.pod}: {event.message}", MAX_MESSAGE_BYTES))


def linked(event: KubernetesEvent, page_url: str) -> KubernetesEvent:
    """Add where the page shows the drain; nothing without the page's URL, or for an id that is none of ours."""
    if not page_url or not _DRAIN_ID.fullmatch(event.drain_id):
        return event
    link = f" {page_url.rstrip('/')}/drains/{event.drain_id}"
    return replace(event, message=_line(event.message, MAX_MESSAGE_BYTES - len(link.encode())) + link)


def _reason(outcome: Outcome) -> str | None:
    match outcome:
        case Outcome.out_of_service:
            return "Drained"
        case Outcome.refused:
            return "DrainRefused"
        case Outcome.failed:
            return "DrainFailed"
        case Outcome.restored:
            return "Restored"
        case (
            Outcome.requested
            | Outcome.retrying
            | Outcome.removed
            | Outcome.already_gone
            | Outcome.not_registered
            | Outcome.superseded
        ):
            return None
        case _:
            assert_never(outcome)


def _name(pod: str, mark: str) -> str:
    """Return the pod's name, as far as it is one, and the mark."""
    begin = pod[: MAX_EVENT_NAME_LENGTH - len(mark) - 1].rstrip("-.")
    return f"{begin if _SUBDOMAIN.fullmatch(begin) else 'pod'}.{mark}"


def _sentence(event: Event) -> str:
    region = f"Eureka region {event.region}" if event.region else "Eureka"
    what = {
        Outcome.out_of_service: f"Out of service at every node of {region}",
        Outcome.refused: f"Drain refused in {region}",
        Outcome.failed: f"Drain given up in {region}",
        Outcome.restored: f"Its id is back in service at every node of {region}",
    }[event.outcome]
    return f"{what}{_after(event)}{_instance(event)}" + (f": {event.reason}" if event.reason else "")


def _after(event: Event) -> str:
    if event.since_at is None:
        return ""
    lasted = elapsed(event.since_at, event.at) or timedelta(0)
    seconds = lasted.total_seconds()
    since = "was to be drained" if event.cause is Cause.asked else "began to go"
    return f" {seconds:.{1 if seconds < 100 and lasted.microseconds else 0}f} s after the pod {since}"


def _instance(event: Event) -> str:
    named = [
        f"{kind} {_cut(text, longest)}"
        for kind, text, longest in (("app", event.app, MAX_APP_LENGTH), ("instance", event.instance_id, MAX_ID_LENGTH))
        if text
    ]
    return f" ({', '.join(named)})" if named else ""


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _line(text: str, longest: int) -> str:
    """One printable line of at most so many bytes."""
    line = printable(text)
    if len(line.encode()) <= longest:
        return line
    return f"{line.encode()[: longest - len('…'.encode())].decode(errors='ignore')}…"
