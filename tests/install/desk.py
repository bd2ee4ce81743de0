"""A person's desk: a shell with kubectl and rabbitmqctl, in a copy of the repository's manifests and charts.

At the stand-in for a cluster `kubectl exec` is played, since it needs a kubelet, by running the command in the pod's
view of the file system, with its environment. Everything else is the real kubectl and the real rabbitmqctl.
"""

import asyncio
import os
import shlex
import shutil
import sys
from pathlib import Path

from tests.install.page import ROOT
from tests.stack.cluster import Cluster
from tests.stack.processes import ProcessError
from tests.stack.rabbitmq import SCRIPTS, RabbitMq

PATIENCE = 300.0
"""Seconds for one block."""


class Desk:
    """`run` a block of commands; it fails when one of them does."""

    def __init__(self, folder: Path, *, kubeconfig: Path, rabbitmqctl: str, kubectl: str = "") -> None:
        """The programs are lines of shell, to which the words of a call are added; no ``kubectl``: the real one."""
        self.folder = folder / "desk"
        programs = folder / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        for name in ("manifests", "charts"):
            shutil.copytree(ROOT / name, self.folder / name, dirs_exist_ok=True)
        _program(programs / "rabbitmqctl", f'exec {rabbitmqctl} "$@"')
        if kubectl:
            _program(programs / "kubectl", f'exec {kubectl} "$@"')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EUREKA_DRAIN_", "KUBE"))}
        self._env = {
            **kept,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(kubeconfig),
        }

    async def run(self, block: str, *, expect: int = 0, patience: float = PATIENCE) -> str:
        """What it said on stdout; TimeoutError after so many seconds."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            block,
            cwd=self.folder,
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(patience):
            said, messages = await process.communicate()
        if process.returncode != expect:
            raise ProcessError(f"{block}\nended with {process.returncode}\n{said.decode()}\n{messages.decode()}")
        assert b"Traceback" not in messages, messages.decode()
        return said.decode()


def stand_in_desk(folder: Path, cluster: Cluster, broker: RabbitMq) -> Desk:
    """A desk at the stand-in for a cluster."""
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in broker.environment.items())
    return Desk(
        folder,
        kubeconfig=cluster.kubeconfig,
        rabbitmqctl=f"env {variables} {SCRIPTS / 'rabbitmqctl'}",
        kubectl=f"{sys.executable} -m tests.install.kubectl {shutil.which('kubectl')}",
    )


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
