"""The process that cleans up when its parent could not: it outlives a SIGKILL of the parent, and nothing else.

Run as a script with a pipe as standard input. The parent writes one line per fact:

    group 4711      this process group is alive
    forget 4711     it has ended
    folder /tmp/x   this folder goes with the parent
    keep /tmp/x     not any more

The pipe's end is the parent's end, however it came: then every group still known is killed and the folders are
removed. After an orderly stop there is nothing left to do.

Trap: PR_SET_PDEATHSIG alone is not enough, since a child's own children do not inherit it.
"""

import contextlib
import os
import shutil
import signal
import sys


def main() -> None:
    """Read until the pipe ends, then clean up."""
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    groups: set[int] = set()
    folders: set[str] = set()
    for line in sys.stdin:
        verb, _, operand = line.rstrip("\n").partition(" ")
        if verb == "group":
            groups.add(int(operand))
        elif verb == "forget":
            groups.discard(int(operand))
        elif verb == "folder":
            folders.add(operand)
        elif verb == "keep":
            folders.discard(operand)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        # A dying process may still write into it: a second pass takes what the first one met half-way.
        for _ in range(3):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
