"""The roles that a process may have."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a process is there for. Each role has an account of its own at the API server and at the broker."""

    watch = "watch"
    work = "work"
    ops = "ops"
    sweep = "sweep"
