"""Runs an image as a cautious cluster does.

The program is process 1, its user a bare number without a home, its root read-only with nothing writable in it; there
is no privilege to be gained, and no variable but the image's and the given ones.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.image.performing import Image
from tests.stack.processes import Process

IN_A_CONTAINER = """\
set -e
root=$1 user=$2 group=$3
shift 3
mount --bind "$root" "$root"
for device in null zero urandom; do mount --bind /dev/$device "$root/dev/$device"; done
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs unshare --pid --fork --kill-child --mount-proc --root="$root" --wd=/ \
    --setgid="$group" --setuid="$user" -- "$@"
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command that ends has ended."""

    status: int
    out: str
    err: str


def command_of(image: Image, *arguments: str) -> list[str]:
    """What starts it on this machine; the image's own arguments when none are given."""
    for device in ("null", "zero", "urandom"):
        (image.root / "dev" / device).touch()
    user, _, group = image.user.partition(":")
    program = [*image.entrypoint, *(arguments or image.arguments)]
    return ["unshare", "--mount", "sh", "-c", IN_A_CONTAINER, "sh", str(image.root), user, group, *program]


async def run(image: Image, *arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
    """Run it to its end."""
    child = await asyncio.create_subprocess_exec(
        *command_of(image, *arguments),
        env=image.environment | dict(settings or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return Ended(child.returncode, out.decode(), err.decode())


class Container(Process):
    """It runs until a signal, as process 1 of its own process space."""

    def __init__(self, image: Image, *arguments: str, log: Path, settings: Mapping[str, str]) -> None:
        super().__init__(
            " ".join(arguments),
            command_of(image, *arguments),
            log=log,
            env=image.environment | dict(settings),
        )

    @property
    def first(self) -> int:
        """Process 1, by the number that it has out here; 0 while there is none."""
        children = _children(Path(f"/proc/{self.pid}/task/{self.pid}"))
        return children[0] if children else 0

    @property
    def children(self) -> list[int]:
        """What process 1 has below it: what it started, and what it was left with; what it has not reaped, too."""
        return [child for task in Path(f"/proc/{self.first}/task").iterdir() for child in _children(task)]

    def status(self, name: str) -> str:
        """A line of what the kernel says of process 1."""
        lines = Path(f"/proc/{self.first}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))

    def catches(self, number: signal.Signals) -> bool:
        """Whether process 1 has a handler for it; what it has none for never reaches it."""
        return bool(int(self.status("SigCgt"), 16) >> (number - 1) & 1)

    def signal_first(self, number: signal.Signals) -> None:
        """To process 1 alone, as an engine stops a container."""
        os.kill(self.first, number)


def _children(task: Path) -> list[int]:
    return [int(child) for child in (task / "children").read_text().split()]
