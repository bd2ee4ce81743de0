"""The matrix as a page of the docs, made from what the test has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.e2e.matrix_endings import Ending
from tests.e2e.matrix_ways import WAYS

HEAD = """\
# Ways to register, ways to end

Made by `make matrix` on a real kube-apiserver, RabbitMQ and pair of Eureka servers, with stock settings but for a
retention of 3 s: each cell is a process that registers in one way, and whose pod ends in one way. Beside it lives a
process that looks as much like it as that way allows, and whose status is read from both nodes all the time: **it must
stay UP, without an override, at every node.** Heartbeats come every 2 s. The processes on lost nodes go on. What each
sign is worth: [ownership](decisions/ownership.md).

- *out*: seconds from the deletion (eviction, loss, the node's word) until the last node has it out of service.
- *removed*, *given back*: seconds from the process' end.
- *next one serves*: a newer process registers under the same id; seconds from its UP until every node shows it UP,
  without an override.
- *stays out*: the pod's end is not proved, and its process, or another one under its id, goes on: it is not put back.
- *untouched*: never out, not for a moment.
- *refused*: nothing but `poduid` could distinguish it from the one beside it, and both are left alone.
"""


@dataclass(frozen=True)
class Cell:
    """What came of one way and one ending."""

    way: str
    ending: Ending
    text: str
    complaints: tuple[str, ...] = ()


def page(cells: Sequence[Cell]) -> str:
    """The whole page."""
    wrong = [cell for cell in cells if cell.complaints]
    lines = [HEAD, f"{len(cells)} cells, {len(wrong)} of them wrong.", ""]
    lines += ["| | registration | beside it |", "|---|---|---|"]
    lines += [f"| {way.title} | {way.looks} | {way.bystander} ({way.home}) |" for way in WAYS]
    lines += ["", *table(cells), ""]
    if wrong:
        lines += ["## Wrong", ""]
        for title in dict.fromkeys(cell.way for cell in wrong):
            lines.append(f"- **{title}**")
            mine = [cell for cell in wrong if cell.way == title]
            lines += [f"  - {cell.ending}: {'; '.join(cell.complaints)}" for cell in mine]
        lines.append("")
    return "\n".join(lines)


def table(cells: Sequence[Cell]) -> list[str]:
    """A line for each way, a column for each ending that was tried."""
    endings = [ending for ending in Ending if any(cell.ending is ending for cell in cells)]
    found = {(cell.way, cell.ending): cell for cell in cells}
    lines = ["| | " + " | ".join(endings) + " |", "|---" * (len(endings) + 1) + "|"]
    for way in WAYS:
        shown = [found.get((way.title, ending)) for ending in endings]
        texts = ["" if one is None else f"**wrong**: {one.text}" if one.complaints else one.text for one in shown]
        lines.append(f"| {way.title} | {' | '.join(texts)} |")
    return lines
