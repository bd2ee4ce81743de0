"""A desk with a kubeconfig, kubectl, and `kubectl-drains` as one file: nothing of the broker or the registry."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.e2e.operator import ROOT, Said

FORWARDER = """#!{python} -IS
# kubectl, but for a port: the nodes here forward none. The API server is asked for the right to one all the same.
import os, subprocess, sys, time
real, words = {real!r}, sys.argv[1:]
if "port-forward" not in words:
    os.execv(real, [real, *words])
namespace = words[words.index("--namespace") + 1]
chosen = words[: words.index("port-forward")]
asked = [real, *chosen, "auth", "can-i", "create", "pods", "--subresource", "portforward", "--namespace", namespace]
if subprocess.run(asked, capture_output=True).returncode:
    sys.exit("error: you may not forward a port in " + namespace)
print("Forwarding from 127.0.0.1:{port} -> 8080", flush=True)
time.sleep(600)
"""


class PluginDesk:
    """Runs ``kubectl drains`` as somebody with that kubeconfig."""

    def __init__(self, folder: Path, kubeconfig: Path, port: int | None = None) -> None:
        """``port``: where `ops` is, if the nodes here forward none."""
        self.ops_namespace = ""
        """Where `ops` is, for somebody who may not look everywhere."""
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True, exist_ok=True)
        real = shutil.which("kubectl")
        assert real is not None
        if port is not None:
            wrapper = self._bin / "kubectl"
            wrapper.write_text(FORWARDER.format(python=sys.executable, real=real, port=port))
            wrapper.chmod(0o755)
        self.environment = {
            "PATH": f"{self._bin}:{Path(real).parent}:/usr/bin:/bin",
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(folder),
        }

    async def install(self) -> None:
        """Make the file, and put it on the PATH."""
        made = await asyncio.create_subprocess_exec("make", "plugin", cwd=ROOT, stdout=PIPE, stderr=PIPE)
        _, errors = await made.communicate()
        assert made.returncode == 0, errors.decode()
        shutil.copy(ROOT / "dist" / "kubectl-drains", self._bin)

    async def run(self, *words: str, expect: int = 0, **environment: str) -> Said:
        """Run ``kubectl drains`` to its end, by the real kubectl's way to plugins."""
        real = shutil.which("kubectl")
        if self.ops_namespace and "--ops-namespace" not in words:
            words += ("--ops-namespace", self.ops_namespace)
        process = await asyncio.create_subprocess_exec(
            str(real), "drains", *words, env={**self.environment, **environment}, stdout=PIPE, stderr=PIPE
        )
        data, messages = await asyncio.wait_for(process.communicate(), 180)
        said = Said(process.returncode or 0, data.decode(), messages.decode())
        assert "Traceback" not in said.messages, said.messages
        assert said.status == expect, f"{said.data}\n{said.messages}"
        return said
