"""Pods' names: which part of one Kubernetes has drawn at random, so that no other pod can have it."""

from __future__ import annotations

import re

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""The characters that Kubernetes draws random names from."""
_GENERATED = re.compile(rf".+-{_SAFE}{{5}}", re.ASCII)
_OF_REPLICA_SET = re.compile(rf".+-{_SAFE}{{6,10}}-{_SAFE}{{5}}", re.ASCII)
_DRAWN = re.compile(rf"(?:-{_SAFE}{{6,10}})?-{_SAFE}{{5}}$", re.ASCII)
_ORDINAL = re.compile(r".*-\d+", re.ASCII)
_CUT = re.compile(rf".{{58}}{_SAFE}{{5}}", re.ASCII)
"""Of a generated name Kubernetes keeps 58 characters before what it draws, and so perhaps no hyphen there."""


def is_of_replica_set(name: str) -> bool:
    """Return whether a name looks like that of a Deployment's pod, of whichever cluster."""
    return _OF_REPLICA_SET.fullmatch(name) is not None


def is_generated(name: str) -> bool:
    """Return whether Kubernetes has drawn a name, so that no other pod can have it: not a StatefulSet's ordinal."""
    # One of some hundreds is all digits by chance.
    form = _OF_REPLICA_SET if _ORDINAL.fullmatch(name) else _GENERATED
    return form.fullmatch(name) is not None or _CUT.fullmatch(name) is not None


def holds_name(word: str, name: str) -> bool:
    """Return whether a word of a registration is a name, or has one at its end as ``<app>-<name>`` has.

    >>> holds_name("shop.orders-7cd9c4fbcc-nlttw", "orders-7cd9c4fbcc-nlttw"), holds_name("orders-db-0", "db-0")
    (True, True)
    """
    return word == name or (bool(name) and word.endswith((f"-{name}", f".{name}")))


def without_random_part(name: str) -> str:
    """Return a pod's name without what Kubernetes has drawn for it: equal among the pods of one workload.

    >>> without_random_part("orders-7cd9c4fbcc-nlttw"), without_random_part("agent-x2k4q"), without_random_part("db-0")
    ('orders', 'agent', 'db-0')
    """
    return _DRAWN.sub("", name)
