"""What may be wrong with a registry's node in memory, and how that looks from outside.

Not like the real one: a frozen or slow node is waited for briefly, whether another one answers or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, TypeVar

from controller.domain.instances import Condition

T = TypeVar("T")

READ_TIMEOUT, FROZEN_READ_TIMEOUT, WRITE_TIMEOUT = 3.0, 0.25, 3.0
"""Seconds for which a node is waited for: to read, to read once it is known for frozen, and to write."""
SLOW_ANSWER = 5.0
"""Seconds that a slow node takes: too long for us, and not for the stock client, which waits for 8 s."""


class Trouble(StrEnum):
    """What may be wrong with a node."""

    down = "down"
    frozen = "frozen"
    slow = "slow"
    """It does what it is asked, after SLOW_ANSWER: a write that we have given up is performed all the same."""
    denying = "denying"
    denying_writes = "denying writes"
    nonsense = "nonsense"
    """A proxy in front of it answers instead of it: with HTML, or with a 404 that is no registry's."""
    cut_list = "a list that is cut short"


DEAF = frozenset({Trouble.down, Trouble.frozen})
"""What keeps a node from what its peers replicate."""


class UnansweredError(Exception):
    """A node told nothing, and which condition that is."""

    def __init__(self, condition: Condition, detail: str) -> None:
        super().__init__(detail)
        self.condition = condition


class TroubledNode:
    """A node as far as its troubles go."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.trouble: Trouble | None = None
        self.nonsense_about = ""
        """An app about whose instances it talks nonsense."""
        self.requests: list[str] = []
        """What the controller asked of it: method and path. Other clients' calls are not noted."""
        self._is_known_frozen = False
        self._is_quick = asyncio.Event()
        self._late: set[asyncio.Task[Any]] = set()

    def pause(self) -> None:
        """Freeze: requests are accepted and not answered. What they ask is done when it goes on."""
        self.trouble = Trouble.frozen

    def resume(self) -> None:
        """Go on, with what waits first."""
        self.trouble = None
        self._work_off()

    def _work_off(self) -> None:
        """Do at once what waits, or forget it if it is down."""
        self._is_quick.set()
        self._is_quick = asyncio.Event()

    async def answer(self, request: str, *, write: bool = False) -> None:
        """Take a request of the controller's; UnansweredError when it leads to nothing."""
        if self.trouble is not Trouble.down:
            self.requests.append(request)
        if self.nonsense_about and f"apps/{self.nonsense_about}/" in request:
            raise UnansweredError(Condition.failing, "not a registry's JSON")
        self._is_known_frozen = self._is_known_frozen and self.trouble in (Trouble.frozen, Trouble.slow)
        match self.trouble:
            case None:
                pass
            case Trouble.down:
                raise UnansweredError(Condition.unreachable, "connection refused")
            case Trouble.frozen | Trouble.slow:
                was_known, self._is_known_frozen = self._is_known_frozen, True
                await asyncio.sleep(WRITE_TIMEOUT if write else FROZEN_READ_TIMEOUT if was_known else READ_TIMEOUT)
                raise UnansweredError(Condition.unreachable, "no answer in time")
            case Trouble.denying:
                raise UnansweredError(Condition.denied, "HTTP 401")
            case Trouble.denying_writes:
                if write:
                    raise UnansweredError(Condition.denied, "HTTP 403")
            case Trouble.nonsense:
                raise UnansweredError(Condition.failing, "not a registry's JSON")
            case Trouble.cut_list:
                if request == "GET apps":
                    raise UnansweredError(Condition.failing, "not a registry's JSON")

    async def write(self, request: str, act: Callable[[], Awaitable[object]]) -> None:
        """Take a request of the controller's that changes something: see ``answer``."""
        late = self.late(act) if self.trouble in (Trouble.slow, Trouble.frozen) else None
        await self.answer(request, write=True)
        if late is None:
            await act()

    def late(self, act: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Do what is asked when it comes to that, whether or not anybody still waits for it."""
        task = asyncio.create_task(self._act_late(act, self._is_quick), name=f"late at {self.url}")
        self._late.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # perhaps nobody waits for it any more

    async def _act_late(self, act: Callable[[], Awaitable[T]], is_quick: asyncio.Event) -> T:
        try:
            async with asyncio.timeout(SLOW_ANSWER if self.trouble is Trouble.slow else None):
                await is_quick.wait()
        except TimeoutError:
            pass
        if self.trouble in DEAF:
            raise UnansweredError(Condition.unreachable, "it has gone meanwhile")
        return await act()
