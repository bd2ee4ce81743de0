"""Child processes that can be started, watched, paused and stopped, and that never outlive us.

Order of events: `start` spawns the command in a session of its own with its output in a log file, and waits until the
`ready` check says yes or the process ends; `stop` asks with SIGTERM, and kills after a budget. A process may be started
again after it ended: that is a restart with the same command, ports and data.

Nothing survives the parent: Ctrl-C does not reach the children (they have their own session, so that the parent stops
them in order), and when the parent is killed, PR_SET_PDEATHSIG ends each child and the guardian each child's group.

Trap: PR_SET_PDEATHSIG fires when the *thread* that spawned the child ends. Start processes from the event loop's
thread only, never from an executor.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tests.stack import guardian

ReadyCheck = Callable[[], Awaitable[bool]]


class ProcessError(RuntimeError):
    """A child did not do what it was started for; the message carries the end of its log."""


class _Guard:
    """Our end of the guardian's pipe."""

    def __init__(self) -> None:
        self._guardian: subprocess.Popen[bytes] | None = None

    def send(self, fact: str) -> None:
        if self._guardian is None:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(guardian.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert self._guardian.stdin is not None
        self._guardian.stdin.write(f"{fact}\n".encode())
        self._guardian.stdin.flush()


_guard = _Guard()


def remove_folder_with_us(folder: Path) -> None:
    """Have the folder removed even when this process is killed."""
    _guard.send(f"folder {folder}")


def keep_folder(folder: Path) -> None:
    """Leave the folder to whoever started us."""
    _guard.send(f"keep {folder}")


class Process:
    """One command, run at most once at a time."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ready: ReadyCheck | None = None,
        start_budget: float = 120,
        stop_budget: float = 15,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.env = dict(os.environ if env is None else env)
        self.cwd = cwd
        self.start_budget = start_budget
        self.stop_budget = stop_budget
        self._ready = ready
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Also the number of its process group; None before the first start."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        return self._child is not None and not self._ended.is_set()

    @property
    def returncode(self) -> int | None:
        """As subprocess has it: negative is a signal's number, None while it runs."""
        return self._child.returncode if self._child and self._ended.is_set() else None

    def spawn(self) -> None:
        """Start without waiting for readiness."""
        assert not self.running, f"{self.name} runs already"
        self._ended.clear()
        with self.log.open("ab") as log:
            # setpriv sets PR_SET_PDEATHSIG and then becomes the command: same pid, and no code of ours between fork
            # and exec, which is unsafe in a process with threads.
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )
        _guard.send(f"group {self._child.pid}")
        # A file descriptor that becomes readable at the child's end: no thread per child, any event loop.
        descriptor = os.pidfd_open(self._child.pid)
        asyncio.get_running_loop().add_reader(descriptor, self._reap, self._child, descriptor)

    def _reap(self, child: subprocess.Popen[bytes], descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        # As a container's end is the end of everything in it. The leader is still a zombie, so the number is ours.
        self._signal_group(signal.SIGKILL)
        child.wait()
        _guard.send(f"forget {child.pid}")
        self._ended.set()

    async def start(self) -> None:
        """Start and wait until ready; stopped again with the reason when that fails."""
        self.spawn()
        if self._ready is None:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.start_budget
        try:
            while not await self._ready():
                if not self.running:
                    raise ProcessError(f"{self.name} ended with {self.returncode} while starting{self.tail()}")
                if loop.time() > deadline:
                    raise ProcessError(f"{self.name} was not ready within {self.start_budget:g} s{self.tail()}")
                await asyncio.sleep(0.1)
        except BaseException:
            await self.kill()
            raise

    async def wait(self) -> int:
        """Wait for its end and return the code."""
        await self._ended.wait()
        assert self._child is not None
        return self._child.returncode

    async def stop(self) -> None:
        """SIGTERM to the command, SIGKILL to the group after the budget. A paused process is woken up first."""
        if self.running:
            # Not to the group: RabbitMQ's port helper would die before the broker and take it down dirtily.
            self.send(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)
            try:
                await asyncio.wait_for(self._ended.wait(), self.stop_budget)
            except TimeoutError:
                await self.kill()

    async def restart(self) -> None:
        """Stop in order, then start again."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """SIGKILL to the whole group: no goodbye."""
        if self.running:
            self._signal_group(signal.SIGKILL)
            await self._ended.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers, as with a hung or cut-off machine."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal_group(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """To the command itself only, as a container runtime does."""
        if self.running and self._child is not None:
            # Popen.send_signal would poll, and so reap the child behind _reap's back.
            os.kill(self._child.pid, number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    def tail(self, lines: int = 20) -> str:
        """The end of the log, ready to be appended to an error message."""
        try:
            text = self.log.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            text = []
        return "".join(f"\n    {line}" for line in [f"; the end of {self.log}:", *text])


async def output_of(*command: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> str:
    """Run a short command to its end and return what it printed; a failure is an error with that text."""
    child = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(child.communicate(), timeout)
    except BaseException:
        if child.returncode is None:
            child.kill()
            await child.wait()
        raise
    if child.returncode != 0:
        raise ProcessError(f"{' '.join(command)} ended with {child.returncode}:\n{printed.decode(errors='replace')}")
    return printed.decode(errors="replace")


async def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
