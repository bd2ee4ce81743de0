"""Rollouts for a terminal or a pipe: a headline for each, and a line for each of its pods."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from controller.domain.drain_record import DrainRecord
from controller.domain.printable import printable
from controller.domain.rollouts import Rollout, deciding_drain
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.ops.tables import duration_text, moment_of, rows_table, short_moment, shutdown_text

INDENT = "  "
MIN_TERMINAL_WIDTHS = {"REGION": 120, "OUT AFTER": 100}
"""By column: how wide a terminal has to be to show it."""


def rollouts_text(rollouts: Iterable[Rollout], now: datetime, *, width: int | None) -> str:
    """Write rollouts, in the given order."""
    return "\n".join(f"{headline(one, now, short=width is not None)}\n{_pods(one, now, width)}" for one in rollouts)


def headline(rollout: Rollout, now: datetime, *, short: bool) -> str:
    """Write what it was, how long it took, and how its pods ended."""
    at = short_moment(rollout.began_at, now) if short else moment_of(rollout.began_at)
    revision = f" revision {rollout.revision}" if rollout.revision else ""
    count = len(rollout.drains_by_pod)
    pods = f"{count} pod{'s' if count != 1 else ''}"
    took = f" in {duration_text(rollout.took)}" if rollout.took is not None else ""
    return printable(f"{at}  {rollout.name}{revision}: {pods}{took}; {verdicts_text(rollout)}")


def verdicts_text(rollout: Rollout) -> str:
    """Write how many pods ended how: ``3 graceful, 2 not graceful (the worst 12 s short)``."""
    longest, verdicts = rollout.longest_short_seconds, rollout.verdicts
    short = f" (the worst {longest} s short)" if longest is not None else ""
    words = {
        ShutdownVerdict.graceful: "graceful",
        ShutdownVerdict.not_graceful: f"not graceful{short}",
        ShutdownVerdict.pending: "pending",
        ShutdownVerdict.not_judged: "not judged",
    }
    return ", ".join(f"{verdicts[verdict]} {text}" for verdict, text in words.items() if verdicts[verdict])


def _pods(rollout: Rollout, now: datetime, width: int | None) -> str:
    rows = [_row(drains, now) for drains in rollout.drains_by_pod.values()]
    room = None if width is None else width - len(INDENT)
    text = rows_table(rows, MIN_TERMINAL_WIDTHS, width=room, whole=("STATE", "SHUTDOWN"))
    return "".join(f"{INDENT}{line}\n" for line in text.splitlines())


def _row(drains: list[DrainRecord], now: datetime) -> dict[str, str]:
    record = deciding_drain(drains)
    took = [one.took for one in drains if one.took is not None]
    return {
        "POD": record.pod,
        "STATE": record.state.value,
        "REGION": ",".join(one.region for one in drains),
        "OUT AFTER": duration_text(max(took, default=None)),
        "SHUTDOWN": shutdown_text(record, now, short=True) or "-",
        "WHY": shutdown_of(record).reason or str(record.reason or "") or "-",
    }
