"""The programs of a cluster: Debian's where there are packages, the others (Kubernetes …) from their Go modules."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.stack.built_once import cached, go_programs, run_logged
from tests.stack.parts import (
    EVERYDAY_KUBERNETES,
    KUBERNETES_MODULE,
    KUBERNETES_VERSION,
    VERSION_FLAGS,
    kubernetes_packages,
    kubernetes_recipe,
    kubernetes_servers,
    other_kubernetes,
)
from tests.stack.prerequisites import ETCD, GO, OPENSSL, Prerequisite, ReportProgress, require

_HERE = Path(__file__).parent
_NODE_PROGRAMS = ("kubelet", "kube-proxy", "kube-scheduler", "kubectl")
_MORE_SUMS = _HERE / "node_programs.sum"
"""What these need beside the API server's module: lines of a go.sum."""
_STATIC = ["-tags", "netgo,osusergo", "-ldflags", "-s -w"]
"""They are all that is in their images: no C library beside them."""
DEBIAN = (
    Prerequisite("containerd", "containerd"),
    Prerequisite("runc", "runc"),
    Prerequisite("iptables", "iptables"),
    Prerequisite("ipset", "ipset"),
    Prerequisite("conntrack", "conntrack"),
    Prerequisite("ip", "iproute2"),
    Prerequisite("socat", "socat"),
    Prerequisite("buildah", "buildah"),
    Prerequisite("debootstrap", "debootstrap"),
    Prerequisite("dbus-daemon", "dbus-daemon"),
    Prerequisite("dbus-send", "dbus-bin"),
    Prerequisite("/usr/lib/cni/bridge", "containernetworking-plugins"),
)


@dataclass(frozen=True)
class Programs:
    """The folders that have them."""

    servers: Path
    """kube-apiserver and kube-controller-manager."""
    nodes: Path
    """kubelet, kube-proxy, kube-scheduler, kubectl."""
    coredns: Path
    kube_router: Path
    """Of which only the part that enforces network policies is used."""
    pause: Path

    @property
    def path(self) -> str:
        """For PATH."""
        return ":".join(
            str(folder) for folder in (self.servers, self.nodes, self.coredns, self.kube_router, self.pause)
        )


async def programs(report_progress: ReportProgress) -> Programs:
    """Return all of them, built or installed first where they are missing."""
    await require(*DEBIAN, ETCD, OPENSSL, report_progress=report_progress)
    return Programs(
        await kubernetes_servers(report_progress),
        await _node_programs(report_progress),
        await _static_program("CoreDNS", "coredns", report_progress, "about 3 minutes"),
        await _kube_router(report_progress),
        await _static_program("the waiting process", "pause", report_progress, "some seconds"),
    )


async def _static_program(what: str, module: str, report_progress: ReportProgress, estimate: str) -> Path:
    source = [(_HERE / module / "main.go").read_bytes()]
    return await go_programs(what, _HERE / module, _STATIC, ["."], report_progress, recipe=source, estimate=estimate)


async def _kube_router(report_progress: ReportProgress) -> Path:
    program = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
    return await go_programs(
        "kube-router", _HERE / "kube_router", _STATIC, [program], report_progress, estimate="about 3 minutes"
    )


async def _node_programs(report_progress: ReportProgress) -> Path:
    async def build(folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        command = ["go", "build", "-o", f"{folder}/", "-ldflags", VERSION_FLAGS]
        with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
            _write_module(Path(copy))
            await run_logged("go", [*command, *kubernetes_packages(_NODE_PROGRAMS)], Path(copy), log)

    what, estimate = f"{', '.join(_NODE_PROGRAMS)} {KUBERNETES_VERSION}", "about 3 minutes"
    if KUBERNETES_VERSION != EVERYDAY_KUBERNETES:
        return await other_kubernetes(what, _NODE_PROGRAMS, report_progress, estimate)
    files = (KUBERNETES_MODULE / "go.mod", KUBERNETES_MODULE / "go.sum", _MORE_SUMS)
    recipe = [*(file.read_bytes() for file in files), *kubernetes_recipe(_NODE_PROGRAMS)]
    return await cached(what, recipe, build, report_progress, estimate)


def _write_module(folder: Path) -> None:
    """Make the stack's own module, so that what it pins for the API server is right for the node, too."""
    shutil.copyfile(KUBERNETES_MODULE / "go.mod", folder / "go.mod")
    (folder / "go.sum").write_text((KUBERNETES_MODULE / "go.sum").read_text() + _MORE_SUMS.read_text())
