"""A dead letter as a person sees it: what was given up, why, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.reason import ReasonCode
from controller.domain.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """One dead letter. ``item`` is None when it is no message of ours; ``problem`` then says why."""

    number: int
    """The handle to settle it: its place in the queue, from 1."""
    region: str
    reason: str
    reason_code: ReasonCode | None = None
    """None when the broker gave it up."""
    type: str = ""
    message_id: str = ""
    died_at: datetime | None = None
    item: WorkItem | None = None
    problem: str = ""
    size: int = 0
    """Bytes of the item on the wire."""

    @property
    def drain_id(self) -> str | None:
        """The drain that it belongs to; None when it cannot be read."""
        return self.item.drain_id if self.item else None

    @property
    def kind(self) -> str:
        """What it is: ``drain``, ``restore``, or ``foreign`` when it is no message of ours."""
        if self.item is None:
            return "foreign"
        return "drain" if isinstance(self.item, DrainCommand) else "restore"

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps that it names; none when its drain had not found its instance yet."""
        if self.item is None:
            return ()
        if isinstance(self.item, DrainCommand):
            targets = self.item.progress.targets if self.item.progress else ()
            return tuple(dict.fromkeys(target.app for target in targets))
        return tuple(dict.fromkeys(held.app for held in self.item.held))

    def fits(self, selection: Selection) -> bool:
        """Return whether the filters choose it. What cannot be read fits by region, reason, and its message's id."""
        if selection.reason_codes and self.reason_code not in selection.reason_codes:
            return False
        if self.item is None:
            others = replace(
                selection,
                region="",
                since=None,
                until=None,
                states=frozenset(),
                reason_codes=frozenset(),
                ids=frozenset(),
            )
            is_meant = not selection.ids or self.message_id in selection.ids
            return others == Selection() and is_meant and selection.region in ("", self.region)
        return selection.fits(
            region=self.region,
            namespace=self.item.pod.namespace,
            pod=self.item.pod.key,
            apps=self.apps,
            drain_id=self.item.drain_id,
        )
