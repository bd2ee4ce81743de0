"""The programs that must be on the machine, and what to do when one is missing.

As root on Debian the missing packages are installed; otherwise the error names each missing program with the command
that installs it. Go and kubectl are named only: Debian's Go is too old, and it has no kubectl.

Trap: Debian's packages of RabbitMQ and etcd start a service on installation. A policy-rc.d for the time of the
installation denies that, and one that is there already is left alone.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.stack.processes import ProcessError, output_of

ReportProgress = Callable[[str], None]

_SYSTEM_PATH = ":/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"
_POLICY = Path("/usr/sbin/policy-rc.d")
_installing = asyncio.Lock()


class MissingPrerequisiteError(RuntimeError):
    """The user has to install something; the message says what and how."""


@dataclass(frozen=True)
class Prerequisite:
    """A program, the package that brings it on Debian, and else where it comes from."""

    program: str
    package: str | None = None
    source: str = ""
    version_command: tuple[str, ...] = ()
    version_pattern: str = ""
    at_least: tuple[int, ...] = ()


JDK = "openjdk-17-jdk-headless"
GO = Prerequisite(
    "go",
    source="install Go 1.26 or newer from https://go.dev/dl (unpack it to /usr/local/go)",
    version_command=("go", "version"),
    version_pattern=r"go(\d+)\.(\d+)",
    at_least=(1, 26),
)
JAVA = Prerequisite(
    "java", JDK, version_command=("java", "-version"), version_pattern=r'version "(\d+)', at_least=(17,)
)
JAVAC = Prerequisite("javac", JDK)
MAVEN = Prerequisite("mvn", "maven")
ETCD = Prerequisite("etcd", "etcd-server")
ETCDCTL = Prerequisite("etcdctl", "etcd-client")
RABBITMQ = Prerequisite("rabbitmq-server", "rabbitmq-server")
KUBECTL = Prerequisite(
    "kubectl", source="install 1.35 or newer as on https://kubernetes.io/docs/tasks/tools (Debian has none)"
)
OPENSSL = Prerequisite("openssl", "openssl")
CURL = Prerequisite("curl", "curl")
CHROMIUM = Prerequisite("chromium", "chromium")


async def require(*wanted: Prerequisite, report_progress: ReportProgress) -> None:
    """Return when all are there; install what is missing where we may, else say what to do."""
    # Where Go's archive and Debian's servers land, whatever PATH the caller has.
    if not os.environ.get("PATH", "").endswith(_SYSTEM_PATH):
        os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + _SYSTEM_PATH
    async with _installing:
        missing = [one for one in wanted if not await _is_there(one)]
        packages = sorted({one.package for one in missing if one.package})
        if packages and _may_install():
            await _install(packages, report_progress)
            missing = [one for one in missing if not await _is_there(one)]
    if missing:
        lines = [f"  {one.program}: {_advice(one)}" for one in missing]
        raise MissingPrerequisiteError("Something is missing, or too old, to run the servers:\n" + "\n".join(lines))


def uv() -> str:
    """Return the uv that runs us. `uv run` names itself in UV: what the Makefile fetched is not on the PATH."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise MissingPrerequisiteError("start the tests with `uv run`, or put uv on the PATH")
    return found


def _advice(missing: Prerequisite) -> str:
    return missing.source or f"sudo apt-get install {missing.package}"


async def _is_there(wanted: Prerequisite) -> bool:
    if shutil.which(wanted.program) is None:
        return False
    if not wanted.version_command:
        return True
    try:
        found = re.search(wanted.version_pattern, await output_of(*wanted.version_command))
    except ProcessError:
        return False
    return found is not None and tuple(int(number) for number in found.groups()) >= wanted.at_least


def _may_install() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


async def _install(packages: list[str], report_progress: ReportProgress) -> None:
    report_progress(f"installing {' '.join(packages)} with apt-get")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Another apt may be at work: it waits for its turn instead of failing.
    apt = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=600")
    with _no_services_started():
        await output_of(*apt, "update", env=env, timeout=600)
        await output_of(*apt, "install", "--yes", "--no-install-recommends", *packages, env=env, timeout=1800)


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    """Our servers run on our ports in our folders; the package's own must not even start."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
