"""A mutating policy of ours in force: by the API server itself, or by Kyverno's engine behind a webhook."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import yaml

from tests.manifests.kyverno_policies import kyverno_policy
from tests.manifests.webhooks import asked_about_pods
from tests.stack.authority import Authority
from tests.stack.cluster import Cluster
from tests.stack.parts import kyverno_engine
from tests.stack.prerequisites import ReportProgress
from tests.stack.processes import Process

Engine = Callable[[Cluster, Path, Path, ReportProgress], AbstractAsyncContextManager[None]]
"""A cluster, the policy's file, a folder for what is made, and where progress is told."""
Enforce = Callable[[Path], AbstractAsyncContextManager[None]]
"""The policy's file; it is in force while this is open."""


@asynccontextmanager
async def by_the_api_server(
    cluster: Cluster, policy: Path, folder: Path, report_progress: ReportProgress
) -> AsyncIterator[None]:
    await cluster.kubectl("apply", "--validate=strict", "-f", str(policy))
    try:
        yield
    finally:
        await cluster.kubectl("delete", "-f", str(policy))


@asynccontextmanager
async def by_kyverno(
    cluster: Cluster, policy: Path, folder: Path, report_progress: ReportProgress
) -> AsyncIterator[None]:
    """The webhook is asked as Kyverno's controller has it asked: of the policy's namespaces, and again if need be."""
    program = await kyverno_engine(report_progress) / "kyverno_engine"
    made = folder / "kyverno.yaml"
    made.write_text(kyverno_policy(policy), encoding="utf-8")
    constraints = yaml.safe_load(made.read_text(encoding="utf-8"))["spec"]["matchConstraints"]
    authority = Authority()
    certificate, key = authority.write(folder, "127.0.0.1")
    log = folder / "kyverno.log"
    words = ["-kubeconfig", cluster.kubeconfig, "-certificate", certificate, "-key", key, made]

    async def listens() -> bool:
        return bool(_address(log))

    process = Process("Kyverno's engine", [str(program), *map(str, words)], log=log, ready=listens)
    await process.start()
    try:
        labels = constraints["namespaceSelector"]["matchLabels"]
        async with asked_about_pods(cluster, "kyverno", _address(log), authority.pem, labels=labels):
            yield
    finally:
        await process.stop()


def _address(log: Path) -> str:
    """Return what it printed first: where it listens."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return next((line for line in lines if line.startswith("127.0.0.1:")), "")


@asynccontextmanager
async def by_both(cluster: Cluster, policy: Path, folder: Path, report_progress: ReportProgress) -> AsyncIterator[None]:
    given = (cluster, policy, folder, report_progress)
    async with by_the_api_server(*given), by_kyverno(*given):
        yield


ENGINES: dict[str, Engine] = {"API server": by_the_api_server}
if os.environ.get("KYVERNO"):
    ENGINES |= {"Kyverno": by_kyverno, "both": by_both}
