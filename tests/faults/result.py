"""One row for each case, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """What came of one case."""

    fault: str
    moment: str
    drains: int = 0
    lost: int = 0
    back: int = 0
    harmed: int = 0
    accounts: int = 0
    """Drains that the event log tells wrongly: without an end, or with two."""
    settled: float | None = None
    """Seconds from healing until the last instance was out at every node."""
    took: float = 0.0
    troubles: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.settled is not None and not self.troubles


def table(rows: Sequence[Row]) -> list[str]:
    """As lines of text."""
    wide = max([len(row.fault) for row in rows], default=0)
    when = max([len(row.moment) for row in rows], default=0)
    heads = f"{'fault':<{wide}}  {'moment':<{when}}  drains  lost  back  harmed  misaccounted  out after  case took"
    lines = [heads, "-" * len(heads)]
    for row in rows:
        settled = "never" if row.settled is None else f"{row.settled:.1f} s"
        late = " > 30 s!" if row.settled is not None and row.settled > 30 else ""
        lines.append(
            f"{row.fault:<{wide}}  {row.moment:<{when}}  {row.drains:>6}  {row.lost:>4}  {row.back:>4}"
            f"  {row.harmed:>6}  {row.accounts:>12}  {settled:>9}  {row.took:>7.0f} s{late}{'' if row.good else '  ✗'}"
        )
    return lines
