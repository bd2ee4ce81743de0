"""A set of namespaces that stands for a machine: its own network, mounts, processes, and host name.

Order of events: `begin` makes them around a waiting process; programs are started in there by name, each with a log and
a file with its number, so that another run finds them; `end` kills the waiting process, and with it, since it is the
first of its process namespace, everything in there.

Trap: nsenter waits for what it started. Signals go to the program, its child.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.home import LOGS, STATE
from tests.stack.processes import ProcessError

_STEP = 0.02
"""Seconds between two looks at a process."""


class Machine:
    """One machine. What it is, is in files, so any process may take it up."""

    def __init__(self, name: str, path: str) -> None:
        """``path``: the folders of the programs, as in PATH."""
        self.name = name
        self.folder = STATE / name
        self._path = path

    @property
    def pid(self) -> int:
        """Its waiting process, as seen from outside; an error where it is not up."""
        return int((self.folder / "pid").read_text())

    @property
    def is_up(self) -> bool:
        """Whether it has begun and not ended."""
        try:
            return Path(f"/proc/{self.pid}/comm").read_text() == "pause\n"
        except (OSError, ValueError):
            return False

    def begin(self) -> None:
        """Make the namespaces, unless they are there."""
        if self.is_up:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.folder.glob("*.pid"):
            file.unlink()
        pause = shutil.which("pause", path=self._path)
        assert pause is not None
        # Mounts made in there stay in there, and what the machine mounts is seen.
        namespaces = ("--net", "--mount", "--pid", "--uts", "--ipc", "--propagation", "slave")
        outer = subprocess.Popen(
            ["unshare", *namespaces, "--fork", "--mount-proc", pause],
            cwd="/",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        first = _only_child(outer.pid, "pause")
        (self.folder / "pid").write_text(str(first))

    def end(self) -> None:
        """Kill everything in it."""
        if self.is_up:
            first = self.pid
            os.kill(first, signal.SIGKILL)
            while Path(f"/proc/{first}").exists() and _state_of(first) != "Z":
                time.sleep(_STEP)

    def inside(self, *command: str) -> list[str]:
        """Return the words that run a command in there."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid", "--uts", "--ipc", "--", *command]

    def in_network(self, *command: str) -> list[str]:
        """Return the words that run a command in its network, with this machine's files and processes."""
        return ["nsenter", "--target", str(self.pid), "--net", "--", *command]

    def run(self, *command: str, timeout: float = 120) -> str:
        """Run a short command in there and return what it printed."""
        return run(*self.inside(*command), env=self._environment(), timeout=timeout)

    def script(self, text: str) -> str:
        """Run a few lines of shell in there, until one fails."""
        return self.run("bash", "-euc", text)

    def start(self, program: str, *command: str) -> None:
        """Start a program in there, unless it runs."""
        if self.runs(program):
            return
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{self.name}-{program}.log").open("ab") as log:
            outer = subprocess.Popen(
                self.inside(*command),
                cwd="/",
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
            )
        (self.folder / f"{program}.pid").write_text(str(outer.pid))

    def runs(self, program: str) -> bool:
        """Whether it was started and has not ended."""
        file = self.folder / f"{program}.pid"
        return file.exists() and _state_of(int(file.read_text())) not in ("", "Z")

    def stop(self, program: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a program, and wait for its end."""
        file = self.folder / f"{program}.pid"
        outer = int(file.read_text())
        self.send(program, number)
        while _state_of(outer) not in ("", "Z"):
            time.sleep(_STEP)
        file.unlink()

    def send(self, program: str, number: signal.Signals) -> None:
        """Send a signal to a program."""
        outer = (self.folder / f"{program}.pid").read_text()
        for child in Path(f"/proc/{outer}/task/{outer}/children").read_text().split():
            os.kill(int(child), number)

    def _environment(self) -> Mapping[str, str]:
        return {"PATH": f"{self._path}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def mounts_below(folder: Path) -> list[str]:
    """Return what is mounted in a folder of this machine, the innermost first."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [place for place in reversed(places) if Path(place).is_relative_to(folder)]


def run(
    *command: str,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    timeout: float = 120,
) -> str:
    """Run a short command on this machine and return what it printed; a failure is an error with that text."""
    try:
        done = subprocess.run(
            command,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as late:
        raise ProcessError(f"{' '.join(command)} did not end within {timeout:g} s") from late
    if done.returncode:
        raise ProcessError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def wait_until(what: str, is_true: Callable[[], object], timeout: float = 120) -> None:
    """Look again and again until it is true."""
    end = time.monotonic() + timeout
    while not is_true():
        if time.monotonic() > end:
            raise ProcessError(f"{what}: not within {timeout:g} s; the logs are in {LOGS}")
        time.sleep(0.25)


def _only_child(pid: int, name: str) -> int:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text() == f"{name}\n":
            return int(children[0])
        time.sleep(_STEP)
    raise ProcessError("no namespaces: unshare did not start the waiting process within 10 s")


def _state_of(pid: int) -> str:
    """Return the letter of a process's state, and nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
