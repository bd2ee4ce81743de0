"""The roles that a process may have, and what each of them connects to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a process is there for. Each role has an account of its own at the API server and at the broker."""

    watch = "watch"
    work = "work"
    ops = "ops"
    sweep = "sweep"


class Destination(StrEnum):
    """What a process connects to."""

    kubernetes = "kubernetes"
    broker = "broker"
    eureka = "eureka"


DESTINATIONS: Mapping[Role, frozenset[Destination]] = MappingProxyType(
    {
        Role.watch: frozenset({Destination.kubernetes, Destination.broker}),
        Role.work: frozenset({Destination.broker, Destination.eureka}),
        Role.ops: frozenset(Destination),
        Role.sweep: frozenset(Destination),
    }
)
"""Where each role connects to, and where it may: the network policies of manifests/ let nothing else through."""
