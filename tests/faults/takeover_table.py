"""The table of takeovers: a line for each kind and what happens in between, and one for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from tests.faults.takeover import Kind, Takeover

SERVING_WITHIN = 5.0
"""Seconds, as promised."""


class Between(StrEnum):
    """What happens between the old one's end and the new one's coming."""

    nothing = "nothing"
    node_restarted = "a node restarted"
    nodes_restarted = "each node restarted"
    node_cut_off = "a node cut off"
    watch_down = "the watch down"


@dataclass(frozen=True)
class EndedTakeover:
    """A takeover that is over."""

    takeover: Takeover
    between: Between
    since: float | None
    """When it was to serve from: it had said UP, and every node was there."""
    settled_at: float = 0.0
    """When a node that was away has heard what its peer kept for it."""
    restarted: tuple[int, ...] = ()
    """Those nodes."""

    @property
    def took(self) -> float | None:
        """Seconds until it served at every node; None: never."""
        return self.takeover.seconds(self.since, for_good=bool(self.settled_at))

    @property
    def harm(self) -> list[str]:
        """What was seen of the new process that was out when it may not be."""
        kind = self.takeover.kind
        # A node that restarts may show the old one again, as its peer's cache did: then the drain takes that out.
        is_copied = bool(self.restarted) and kind is not Kind.unregistered
        return self.takeover.harm(self.settled_at, may_be_out=kind.leaves_override or is_copied)

    @property
    def lost(self) -> list[str]:
        """What was seen of the old process that served when it was dead."""
        return self.takeover.lost(self.settled_at, self.restarted)

    @property
    def complaints(self) -> list[str]:
        """All that is wrong: the dead process served, the new one not, or not for good."""
        found = [*self.takeover.troubles, *self.lost, *self.harm]
        if self.took is None:
            found.append(f"{self.takeover.label} did not serve at every node for good: {self.takeover.record()}")
        return found

    @property
    def longest_out(self) -> float:
        """Seconds that it was out of service at a node at a stretch, although it had said UP."""
        longest = 0.0
        for held, samples in groupby(self.takeover.samples, key=lambda sample: sample.is_held):
            after = [sample.at for sample in samples if sample.at >= (self.takeover.up_at or float("inf"))]
            if held and after:
                longest = max(longest, after[-1] - after[0])
        return longest


HEADS = (
    f"{'in between':<19}  {'n':>4}  {'right':>5}  never out  longest out  serving: p50    max  "
    f"within {SERVING_WITHIN:.0f} s  harmed  lost"
)


def table(ended: Sequence[EndedTakeover]) -> list[str]:
    """Seconds until UP at every node, without an override."""
    wide = max(len(kind) for kind in Kind)
    lines = [f"{'kind':<{wide}}  {HEADS}", "-" * (wide + 2 + len(HEADS))]
    for kind in Kind:
        for between in Between:
            mine = [one for one in ended if (one.takeover.kind, one.between) == (kind, between)]
            if mine:
                lines.append(f"{kind:<{wide}}  {between:<19}  {_line(mine)}")
    return [*lines, f"{'all':<{wide}}  {'':<19}  {_line(ended)}"]


def _line(ended: Sequence[EndedTakeover]) -> str:
    took = sorted(one.took for one in ended if one.took is not None)
    middle, last = (f"{took[len(took) // 2]:.1f}", f"{took[-1]:.1f}") if took else ("-", "-")
    right = sum(not one.complaints for one in ended)
    never_out = sum(one.takeover.up_at is not None and not one.takeover.held() for one in ended)
    quick = sum(second <= SERVING_WITHIN for second in took)
    harmed = sum(bool(one.harm) for one in ended)
    lost = sum(bool(one.lost) for one in ended)
    longest = max(one.longest_out for one in ended)
    return (
        f"{len(ended):>4}  {right:>5}  {never_out:>9}  {longest:>9.1f} s  {middle:>12}  {last:>5}  "
        f"{quick:>10}  {harmed:>6}  {lost:>4}"
    )
