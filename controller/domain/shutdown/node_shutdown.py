"""How long a node that shuts down lets its pods serve, against what their callers need. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from controller.domain.diagnostics import named
from controller.domain.durations import format_duration
from controller.domain.shutdown.window import Window

OTHERS_SHARE = timedelta(seconds=10)
"""What the advice leaves to critical pods, which end after all others."""


def node_shutdown_notes(lets: Mapping[str, timedelta], window: Window) -> tuple[str, ...]:
    """Say which nodes give pods without a priority less than the window, and which setting that is.

    ``lets``: by node, how long its kubelet lets such a pod serve once the node shuts down; zero is not at all.
    """
    needed = timedelta(seconds=window.whole_seconds)
    short: dict[timedelta, list[str]] = {}
    for node, lasts in sorted(lets.items()):
        if lasts < needed:
            short.setdefault(lasts, []).append(node)
    fix = (
        f"in the kubelet's configuration: shutdownGracePeriod: {format_duration(needed + OTHERS_SHARE)}, "
        f"shutdownGracePeriodCriticalPods: {format_duration(OTHERS_SHARE)}; and systemd's InhibitDelayMaxSec no shorter"
    )
    lacking = "a node that shuts down gives pods without a priority"
    return tuple(
        f"{lacking} {format_duration(lasts)} of the {format_duration(needed)} that callers need, whatever their hooks: "
        f"{named(nodes)} ({fix})"
        for lasts, nodes in sorted(short.items())
    )
