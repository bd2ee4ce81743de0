"""Which pods are at an address, or bear a host name. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class AddressIndex:
    """Uids by address and host name.

    As a rule one pod has a name. Its uid stands alone then: a set of its own would be a fourth of what a watched pod
    takes.
    """

    def __init__(self) -> None:
        self._holders: dict[str, str | set[str]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def at(self, *names: str) -> set[str]:
        """Return the uids at any of these addresses and host names."""
        found: set[str] = set()
        for name in names:
            match self._holders.get(name):
                case None:
                    pass
                case str(uid):
                    found.add(uid)
                case holders:
                    found |= holders
        return found

    def add(self, uid: str, names: Iterable[str]) -> None:
        """Note that a pod is there."""
        for name in names:
            held = self._holders.setdefault(name, uid)
            if isinstance(held, set):
                held.add(uid)
            elif held != uid:
                self._holders[name] = {held, uid}

    def discard(self, uid: str, names: Iterable[str]) -> None:
        """Note that a pod is not there any more."""
        for name in names:
            held = self._holders.get(name)
            if isinstance(held, set):
                held.discard(uid)
                if len(held) == 1:
                    self._holders[name] = held.pop()
            elif held == uid:
                del self._holders[name]
