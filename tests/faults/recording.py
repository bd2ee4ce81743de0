"""Proxies that a controller's process reaches its servers through: they record its side effects, and end it at one.

Order of events: a connection belongs to the life of the process that opened it. Each side effect is met before it is
forwarded. At the chosen one the process's way out is shut: nothing that it sends from then on reaches any server.
`before`: the process is killed, and that side effect stays undone. `after`: it is forwarded, the server's answer is
awaited and withheld, and then the process is killed; an acknowledgement has no answer, so it gets a moment instead.

Trap: what was forwarded before is done, whatever becomes of the process, as with a real crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tests.faults.recording_units import Effect, Talk, Unit

MOMENT_FOR_AN_ACK = 0.03
ANSWER_WITHIN = 10.0
_CUT = (OSError, asyncio.IncompleteReadError)


class Moment(StrEnum):
    """When the process dies."""

    before = "before"
    after = "after"


@dataclass(frozen=True)
class Step:
    """One side effect: the ordinal counts those of its process and kind, from 1."""

    process: str
    kind: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.process}: {self.kind} #{self.ordinal}"


@dataclass(frozen=True)
class Trigger:
    """Where to die."""

    step: Step
    moment: Moment

    def __str__(self) -> str:
        return f"{self.moment} {self.step}"


class Recorder:
    """The side effects of all processes of one run, in the order in which they were forwarded."""

    def __init__(self, trigger: Trigger | None = None) -> None:
        self.trigger = trigger
        self.steps: list[Step] = []
        self.effects: list[tuple[str, Effect]] = []
        self.connections: Counter[str] = Counter()
        self.in_flight = 0
        """Commands that the broker holds for the region: in its queue, in the delay ladder, or not yet acknowledged."""
        self.changed_at = time.monotonic()
        self.fired = asyncio.Event()
        self.trouble: list[str] = []
        self._met: Counter[tuple[str, str]] = Counter()
        self._begun = False

    def begin(self) -> None:
        """Count from here, and let the trigger be met."""
        self._begun = True
        self._met.clear()
        self.steps.clear()

    def meet(self, process: str, effect: Effect) -> Moment | None:
        """Whether the process dies at this one."""
        self._met[process, effect.kind] += 1
        step = Step(process, effect.kind, self._met[process, effect.kind])
        if not self._begun or self.fired.is_set() or self.trigger is None or step != self.trigger.step:
            return None
        self.fired.set()
        return self.trigger.moment

    def forwarded(self, process: str, effect: Effect) -> None:
        """It has reached the server, or will."""
        self.effects.append((process, effect))
        if self._begun:
            self.steps.append(Step(process, effect.kind, self._met[process, effect.kind]))
        self.in_flight += effect.in_flight
        self.changed_at = time.monotonic()

    @property
    def quiet_for(self) -> float:
        """Seconds since the last side effect."""
        return time.monotonic() - self.changed_at

    def bodies(self, kind: str) -> list[bytes]:
        """What was published, by kind."""
        return [effect.body for _, effect in self.effects if effect.kind == kind]


class Life:
    """One run of a process, from its first connection to its end."""

    def __init__(self) -> None:
        self.shut = False
        self.over = asyncio.Event()


class Witness:
    """All proxies of one process."""

    def __init__(self, name: str, recorder: Recorder, kill: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.recorder = recorder
        self.life = Life()
        self.dead = asyncio.Event()
        """Killed at the trigger, and not yet seen to."""
        self._kill = kill
        self._killing: asyncio.Task[None] | None = None

    def end(self, life: Life) -> None:
        """Kill the process; not by the caller's task, which ends with its connection."""
        self._killing = asyncio.create_task(self._end(life))

    async def _end(self, life: Life) -> None:
        await self._kill()
        self.life = Life()
        self.recorder.changed_at = time.monotonic()
        life.over.set()
        self.dead.set()


class Proxy:
    """One server, as one process sees it."""

    def __init__(self, what: str, target: tuple[str, int], talk: Callable[[], Talk], witness: Witness) -> None:
        self._what = what
        self._target = target
        self._talk = talk
        self._witness = witness
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        life = self._witness.life
        self._witness.recorder.connections[f"{self._witness.name} to {self._what}"] += 1
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        connection = _Connection(self._witness, life, self._talk())
        directions = [
            asyncio.create_task(connection.forward(reader, upstream_writer)),
            asyncio.create_task(connection.give_back(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            for failure in await asyncio.gather(*directions, return_exceptions=True):
                if isinstance(failure, Exception) and not isinstance(failure, _CUT):
                    self._witness.recorder.trouble.append(f"the proxy to {self._what} failed: {failure!r}")
            for one in (writer, upstream_writer):
                with contextlib.suppress(*_CUT):
                    one.close()


class _Connection:
    def __init__(self, witness: Witness, life: Life, talk: Talk) -> None:
        self._witness = witness
        self._recorder = witness.recorder
        self._life = life
        self._talk = talk
        self._withheld: object = None
        self._answered = asyncio.Event()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the process to the server."""
        while data := await reader.read(65_536):
            for unit in self._talk.sent(data):
                if self._life.shut:
                    await self._life.over.wait()
                    return
                if unit.effect is None:
                    writer.write(unit.data)
                    continue
                moment = self._recorder.meet(self._witness.name, unit.effect)
                if moment is not None:
                    await self._die(moment, unit, unit.effect, writer)
                    return
                writer.write(unit.data)
                self._recorder.forwarded(self._witness.name, unit.effect)
            await writer.drain()

    async def give_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the process."""
        while data := await reader.read(65_536):
            for piece in self._talk.answered(data):
                if self._withheld is not None and self._withheld in piece.answers:
                    self._answered.set()
                    await self._life.over.wait()
                    return
                writer.write(piece.data)
            await writer.drain()

    async def _die(self, moment: Moment, unit: Unit, effect: Effect, writer: asyncio.StreamWriter) -> None:
        self._life.shut = True
        if moment is Moment.after:
            self._withheld = unit.answer
            writer.write(unit.data)
            self._recorder.forwarded(self._witness.name, effect)
            await writer.drain()
            if unit.answer is None:
                await asyncio.sleep(MOMENT_FOR_AN_ACK)
            else:
                try:
                    await asyncio.wait_for(self._answered.wait(), ANSWER_WITHIN)
                except TimeoutError:
                    self._recorder.trouble.append(f"no answer came to {effect.kind}")
        self._witness.end(self._life)
        await self._life.over.wait()
