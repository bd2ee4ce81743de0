"""The cluster: a hub, its nodes and its DNS.

Order of events: keys, control plane, nodes with the first images, DNS. What is up already stays as it is.
Nothing leads out of it, and it leaves nothing behind: `down` ends every process, and removes mounts, control groups and
what the nodes had written. Programs and images stay in the cache.
"""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster.ability import hierarchies
from tests.cluster.home import CONTROL_GROUP, HOME, LOGS, SERVICE_NETWORK, STATE, node_address
from tests.cluster.hub import Hub
from tests.cluster.keys import make_keys
from tests.cluster.machine import mounts_below, wait_until
from tests.cluster.node import Node
from tests.cluster.programs import Programs
from tests.stack.processes import ProcessError

NODES = int(os.environ.get("NODES", "2"))
_DNS = Path(__file__).with_name("dns.yaml")


class RealCluster:
    """What the tests act on."""

    def __init__(self, programs: Programs) -> None:
        self.path = programs.path
        self.hub = Hub(programs.path)
        self.nodes = [Node(number, programs.path, self.hub) for number in range(1, NODES + 1)]
        self.kubectl = self.hub.kubectl

    @property
    def machines(self) -> list[Hub | Node]:
        return [self.hub, *self.nodes]

    def up(self, first_images: list[Path]) -> None:
        """Begin what is not there yet."""
        for folder in (STATE, LOGS):
            folder.mkdir(parents=True, exist_ok=True)
        make_keys(len(self.nodes))
        self.hub.begin()
        for node in self.nodes:
            node.begin()
            node.load(*first_images)
            node.begin_kubelet()
        # The hub is no node: what it asks of a Service's address goes by the first one, which answers for it.
        self.hub.script(f"ip route replace {SERVICE_NETWORK} via {node_address(1)}")
        wait_until("all nodes are ready", self._are_ready)
        self.kubectl("apply", "-f", str(_DNS))
        self.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=3m", timeout=200)

    def load(self, *archives: Path) -> None:
        """Give images to every node, at the same time."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: node.load(*archives), self.nodes))

    def down(self) -> None:
        """End it, and leave nothing behind."""
        for machine in reversed(self.machines):
            machine.end()
        _remove_control_groups()
        shutil.rmtree(STATE, ignore_errors=True)

    def _are_ready(self) -> bool:
        try:
            listed = self.kubectl("get", "nodes", "--no-headers")
        except ProcessError:
            return False
        return listed.count(" Ready") == len(self.nodes)


def leftovers() -> list[str]:
    """Return what a cluster that is down has left on this machine: processes, mounts, control groups."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(STATE) in words and int(folder.name) != os.getpid():
            found.append(f"process {folder.name}: {words[:200]}")
    found += [f"mount {mount}" for mount in mounts_below(HOME)]
    found += [f"control group {group}" for group in _control_groups()]
    return found


def _control_groups() -> list[Path]:
    return [group for hierarchy in hierarchies() for group in hierarchy.glob(CONTROL_GROUP)]


def _remove_control_groups() -> None:
    """Remove them from the leaves up; a process that is ending may hold one a moment longer."""
    end = time.monotonic() + 10
    while left := _control_groups():
        for group in left:
            for folder, _, _ in os.walk(group, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError:
                    continue
        if time.monotonic() > end:
            return
        time.sleep(0.2)
