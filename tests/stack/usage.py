"""What a process has used, by the kernel's own account."""

import os
import re
from pathlib import Path


def cpu_seconds(pid: int | None) -> float:
    """Its CPU so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int | str | None, name: str = "VmRSS") -> int:
    """Its memory now, or at the most (`VmHWM`); `self` is this process.

    Not getrusage: its most is at least that of the process that this one was forked from.
    """
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
