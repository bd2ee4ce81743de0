"""One container of a pod as a local process: started, restarted, probed and ended as a kubelet would.

Order of events: process, postStart, readiness probes; at the end preStop, SIGTERM to the process itself, SIGKILL to
its whole group when the grace is used up. preStop is part of the grace; when it used all of it, SIGTERM still gets 2 s.

A container without a command has no program here, since there are no images: it idles without a process and ends at
once when asked. That makes a thousand pods cheap.

Trap: as no container's PID 1, a program that does not handle SIGTERM ends by it; in a real container it would not.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.stack.pod_handlers import HandlerFailedError, Handlers
from tests.stack.pod_status import ContainerState
from tests.stack.processes import Process
from tests.stack.timeline import Timeline, now

Object = dict[str, Any]

RESTART_SECONDS = 1
LEAST_SECONDS_FOR_SIGTERM = 2


class Program(Protocol):
    """What runs in the container."""

    @property
    def running(self) -> bool: ...
    def spawn(self) -> None: ...
    async def wait(self) -> int: ...
    def send(self, number: signal.Signals) -> None: ...
    async def kill(self) -> None: ...


class Idle:
    """The program of a container without a command: waits for any signal."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self._ended.set()
        self._code = 0

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def spawn(self) -> None:
        self._ended.clear()

    async def wait(self) -> int:
        await self._ended.wait()
        return self._code

    def send(self, number: signal.Signals) -> None:
        self._code = -number if number == signal.SIGKILL else 0
        self._ended.set()

    async def kill(self) -> None:
        self.send(signal.SIGKILL)


class Container:
    """Runs until it ends for good; `changed` is called whenever the pod's status should be written."""

    def __init__(
        self,
        spec: Object,
        *,
        command: Sequence[str],
        env: dict[str, str],
        folder: Path,
        ip: str,
        restart_policy: str,
        timeline: Timeline,
        changed: Callable[[], None],
    ) -> None:
        log = folder / f"{spec['name']}.log"
        cwd = Path(spec["workingDir"]) if spec.get("workingDir") else folder
        self.state = ContainerState(spec["name"], spec.get("image", ""))
        self.program: Program = Process(spec["name"], command, log=log, env=env, cwd=cwd) if command else Idle()
        self._spec = spec
        self._hooks: Object = spec.get("lifecycle") or {}
        self._handlers = Handlers(spec, ip=ip, env=env, folder=cwd, log=log)
        self._restart_policy = restart_policy
        self._timeline = timeline
        self._changed = changed
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start, and start again as the restart policy says."""
        while not self._stopping.is_set():
            self.program.spawn()
            self.state.started_at, self.state.finished_at, self.state.exit_code = now(), None, None
            self._timeline.mark_first("started")
            probing = asyncio.create_task(self._become_ready())
            # Written after the probing's first step: one patch for a container that is ready at once.
            self._changed()
            try:
                code = await self.program.wait()
            finally:
                probing.cancel()
            self._timeline.mark_last("exited_at")
            # As a shell has it: 128 + the signal's number.
            self.state.exit_code = 128 - code if code < 0 else code
            self.state.finished_at, self.state.ready = now(), False
            self._changed()
            if self._restart_policy == "Never" or (self._restart_policy == "OnFailure" and code == 0):
                return
            try:
                await asyncio.wait_for(self._stopping.wait(), RESTART_SECONDS)
            except TimeoutError:
                self.state.last = self.state.as_state()
                self.state.restarts += 1

    async def terminate(self, grace_seconds: float, *, with_pre_stop: bool = True) -> None:
        """End it within the grace, gently if possible."""
        self._stopping.set()
        if not self.program.running:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        if with_pre_stop and (hook := self._hooks.get("preStop")):
            self._timeline.mark_first("pre_stop_started")
            try:
                await self._handlers.perform(hook, timeout=grace_seconds)
            except HandlerFailedError as error:
                self._timeline.pre_stop_failure = str(error)
            self._timeline.mark_last("pre_stop_ended")
        if not self.program.running:
            return
        self._timeline.mark_first("sigterm_at")
        self.program.send(signal.SIGTERM)
        timeout = max(deadline - loop.time(), LEAST_SECONDS_FOR_SIGTERM)
        try:
            await asyncio.wait_for(self.program.wait(), timeout)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Now, and for good."""
        self._stopping.set()
        if self.program.running:
            self._timeline.mark_first("sigkill_at")
            await self.program.kill()

    async def _become_ready(self) -> None:
        if hook := self._hooks.get("postStart"):
            try:
                # No timeout in the spec: a kubelet waits for ever, too.
                await self._handlers.perform(hook, timeout=86_400)
            except HandlerFailedError:
                await self.program.kill()
                return
        probe = self._spec.get("readinessProbe")
        if probe is None:
            self.state.ready = True
            self._changed()
            return
        await asyncio.sleep(probe.get("initialDelaySeconds") or 0)
        in_a_row = 0
        while True:
            try:
                await self._handlers.perform(probe, timeout=probe.get("timeoutSeconds") or 1)
                good = True
            except HandlerFailedError:
                good = False
            in_a_row = 0 if good == self.state.ready else in_a_row + 1
            threshold = probe.get("successThreshold") or 1 if good else probe.get("failureThreshold") or 3
            if in_a_row >= threshold:
                self.state.ready, in_a_row = good, 0
                self._changed()
            await asyncio.sleep(probe.get("periodSeconds") or 10)
