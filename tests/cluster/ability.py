"""Whether this machine can run the cluster, and what it lacks where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def why_not() -> str | None:
    """Return what the machine lacks, and None where it lacks nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it needs root on Linux: it makes network, mount and process namespaces, and control groups"
    if not Path("/etc/debian_version").exists():
        return "it installs containerd, runc, buildah and iptables by apt-get, so it needs Debian or what is made of it"
    tried = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "true"]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        return "namespaces cannot be made here: it is a container itself, perhaps, without the right to (CAP_SYS_ADMIN)"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlay file system, which the containers' images are mounted by"
    if not hierarchies():
        return "the control groups are not of version 1, or none can be made; version 2 has not been tried"
    return None


def hierarchies() -> list[Path]:
    """Return the folders of the control groups, one for each controller."""
    return sorted(
        folder
        for folder in (CGROUPS.iterdir() if CGROUPS.is_dir() else [])
        if (folder / "cgroup.procs").exists() and folder.name != "unified" and os.access(folder, os.W_OK)
    )
