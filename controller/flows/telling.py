"""Telling pods what became of their drains, and of themselves: what the streams say goes to the cluster's noticeboard.

A courtesy, and never more: it is read from the log beside everything else, waits in a bounded queue, and is lost
rather than allowed to hold anything up. What was told before a restart is told once more under the same name, which
changes nothing; so is what another replica has told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from loguru import logger

from controller.domain.events import Event
from controller.domain.history import History
from controller.domain.leave import Leave
from controller.domain.notices import Notice, notice_of, notice_of_leave, told_to
from controller.domain.pod_end import PodEnd
from controller.domain.pods import Owner
from controller.domain.schedule import backoff
from controller.domain.story import Story
from controller.errors import KubernetesError
from controller.flows.backlog import Backlog
from controller.flows.judging import Judging
from controller.flows.ports import Clock, Forbidden, Noticeboard, Pointless, Posted

RECENT = timedelta(minutes=5)
"""How long before the start something may have happened and still be told: a restart takes less."""
REST = timedelta(seconds=1)
"""How long a notice waits first: the drain's beginning, which names the pod's owner, may be told after its success."""
PACE = timedelta(milliseconds=50)
"""Between two notices: a rollout of a thousand pods must not keep an API server busy with our tales."""
MOST = 2_000
"""Notices that wait; one takes about a kilobyte."""
MOST_OWNERS = 20_000
"""Owners that are kept in mind, those of the pods that went last."""
MOST_JUDGED = 5_000
"""Drains that are kept in mind until their pods have ended; one takes about 3 kB."""
MOST_TRIES = 10
"""With one notice; the next one is tried then, since the trouble may be with the first."""
LONGEST_PAUSE = timedelta(seconds=30)
SELDOM = timedelta(minutes=5)
"""How often a namespace is tried in which we may not tell anything."""


class Telling:
    """Tells one cluster's pods, or those of the namespaces that are watched (an empty one: all)."""

    def __init__(
        self,
        *,
        cluster: str,
        scopes: Sequence[str],
        noticeboard: Noticeboard,
        is_there: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        """``is_there`` says of a uid whether the API server still has that pod."""
        self._cluster = cluster
        self._scopes = frozenset(scopes)
        self._noticeboard = noticeboard
        self._is_there = is_there
        self._clock = clock
        self._from = clock() - RECENT
        self._owners: OrderedDict[str, Owner] = OrderedDict()
        self._judging = Judging(History(limit=MOST_JUDGED), self._judged)
        self._waiting: Backlog[tuple[Notice, datetime]] = Backlog(MOST, what="notices for Kubernetes wait")
        self._silent_until: dict[str, datetime] = {}
        """Namespaces in which we may not tell anything."""
        self._complained = False

    def note(self, event: Event) -> None:
        """Take the next event of the log."""
        if event.cluster != self._cluster or not self._covers(event.namespace):
            return
        if event.facts is not None and event.facts.owner is not None:
            self._owners[event.uid] = event.facts.owner
            self._owners.move_to_end(event.uid)
            if len(self._owners) > MOST_OWNERS:
                self._owners.popitem(last=False)
        notice = notice_of(event) if event.at >= self._from else None
        if notice is not None:
            self._put(notice)
        self._judging.note(event)

    def note_end(self, end: PodEnd) -> None:
        """Take the next pod's end."""
        if end.cluster == self._cluster and self._covers(end.namespace):
            self._judging.note_end(end)

    def _judged(self, story: Story, leave: Leave) -> None:
        notice = notice_of_leave(story, leave)
        if notice is not None and notice.at >= self._from:
            self._put(notice)

    def _covers(self, namespace: str) -> bool:
        return "" in self._scopes or namespace in self._scopes

    def _put(self, notice: Notice) -> None:
        self._waiting.put((notice, self._clock() + REST))

    async def run(self) -> None:
        """Tell them one by one, for ever."""
        while True:
            notice, due_at = await self._waiting.take()
            await asyncio.sleep(max((due_at - self._clock()).total_seconds(), 0.0))
            if self._may_try(notice.namespace):
                await self._see_through(notice)
                await asyncio.sleep(PACE.total_seconds())

    def _may_try(self, namespace: str) -> bool:
        until = self._silent_until.get(namespace)
        return until is None or self._clock() >= until

    async def _see_through(self, notice: Notice) -> None:
        log = logger.bind(pod=f"{notice.namespace}/{notice.pod}", notice=notice.reason)
        for attempt in range(1, MOST_TRIES + 1):
            try:
                await self._tell(self._addressed(notice))
            except KubernetesError as error:
                level = "WARNING" if attempt == 1 else "DEBUG"
                log.bind(error=str(error), attempt=attempt).log(level, "Kubernetes does not take a notice")
                await asyncio.sleep(backoff(attempt, LONGEST_PAUSE).total_seconds())
            except Exception as error:  # a mistake of ours about a courtesy must not end the watch
                log.bind(error=f"{type(error).__name__}: {error}").error("this notice cannot be told")
                return
            else:
                return
        log.debug("this notice is dropped")

    def _addressed(self, notice: Notice) -> Notice:
        """Who can be described, when it is read: the pod, or its owner once the pod is gone."""
        owner = self._owners.get(notice.uid)
        return notice if owner is None or self._is_there(notice.uid) else told_to(notice, owner)

    async def _tell(self, notice: Notice) -> None:
        match await self._noticeboard.post(notice):
            case Posted():
                if self._silent_until.pop(notice.namespace, None):
                    self._complained = False
            case Pointless(why=why):
                logger.bind(namespace=notice.namespace, reason=why).debug("nobody can be told any more")
            case Forbidden(why=why):
                self._keep_silent(notice.namespace, why)
            case posting:
                assert_never(posting)

    def _keep_silent(self, namespace: str, why: str) -> None:
        now = self._clock()
        self._silent_until = {name: until for name, until in self._silent_until.items() if until + SELDOM > now}
        self._silent_until[namespace] = now + SELDOM
        if not self._complained:
            self._complained = True
            logger.bind(namespace=namespace, error=why).warning(
                "no notices at pods: grant the watch's service account the verb create on events, "
                "or set watch.notices to false"
            )
