"""The event log as a worker sees it: what it says of drains, and what the worker adds to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.causes import REVERSIBLE
from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.events import Event, LogEntry, make_event
from controller.domain.instances import Readings, is_out_at_every_node, present, was_out_before
from controller.domain.ledger import Ledger
from controller.domain.ownership import END_TOLERANCE
from controller.domain.reason import Reason, ReasonCode
from controller.domain.silence import is_silent
from controller.domain.stage_decisions import Observation
from controller.flows.ports import EventLog
from controller.flows.publisher import Publisher

MAX_LIVING = 64
"""Living pods that a message holds."""
LOG_TIMEOUT = 5.0
"""Seconds. A log is read in a moment after a start."""
LATE_AFTER = timedelta(minutes=1)
"""How long after ``end_at`` a command is not urgent any more: it comes once more, or after long trouble. Meanwhile the
id may have come into other hands, of which the log says more than the registry."""


async def wait_for_log(log: EventLog) -> bool:
    """Wait for the log to be read, for as long as anybody may be kept waiting by it; return whether it is."""
    try:
        async with asyncio.timeout(LOG_TIMEOUT):
            await log.wait_until_read()
    except TimeoutError:
        return False
    return True


ENDED_BEFORE = Reason(code=ReasonCode.ended_before, detail="it had ended so before this was asked for")


class DrainLog:
    """Reads and writes. ``ledger`` is kept up to date by whoever follows the log."""

    def __init__(self, *, ledger: Ledger, follower: EventLog, publisher: Publisher, max_waiters: int) -> None:
        """``max_waiters``: how many messages may be held until the log has taken what they ended with."""
        self.ledger = ledger
        self._follower = follower
        self._publisher = publisher
        self._max_waiters = max_waiters
        self._waiters = 0

    @property
    def caught_up(self) -> bool:
        """Whether everything that was written before this process began has been read."""
        return self._follower.caught_up

    async def wait(self) -> bool:
        """Wait for the log to be read, but not for ever: a broker that keeps it from us must not keep up a drain."""
        return await wait_for_log(self._follower)

    async def with_what_is_known(self, command: DrainCommand, now: datetime) -> DrainCommand:
        """Add the living pods that the log has named since the watch sent the command, and the pod's end.

        A first PUT waits for no log. Whatever is late or has been written to does.
        """
        progress, uid = command.progress, command.pod.uid
        is_late = now > command.end_at + LATE_AFTER
        if is_late or any(not _is_untouched(target) for target in (progress.targets if progress else ())):
            await self.wait()
        known = {pod.uid: pod for pod in command.living}
        known |= {pod.uid: pod for pod in self.ledger.successors(command.drain_id, uid)}
        command = replace(command, living=tuple(known.values())[-MAX_LIVING:])
        end = self.ledger.gone(uid)
        if end is None and command.gone_at is None and is_late and self.caught_up and self._is_forgotten(command):
            return replace(command, gone_at=command.end_at)
        if end is None or command.end_proved:
            return command
        return replace(command, gone_at=min(end.gone_at, command.gone_at or end.gone_at), end_proved=end.proved)

    def _is_forgotten(self, command: DrainCommand) -> bool:
        """Return whether the log was deleted, and with it the pod's end: then its deadline is taken for that.

        What registers later may be anybody's. It has nothing of what the drain of a pod that goes for good begins with.
        What this message has found already was the pod's, whose process may go on beyond the deadline.
        """
        has_found = command.progress is not None and bool(command.progress.found)
        is_for_good = command.cause not in REVERSIBLE and not command.requested_by
        return is_for_good and not has_found and not self.ledger.is_going(command.pod.uid, command.observed_at)

    def with_overrides(self, command: DrainCommand, target: Target, readings: Readings) -> Target:
        """Add whose override an instance bears: ours, by any handling that the log knows of, or somebody else's."""
        place = (command.region, target.app, target.id)
        held = self.ledger.holds(*place)
        ours = target.may_have_override or held
        was_out = target.was_out
        if target.stage is Stage.take_out and is_out_at_every_node(readings):
            # What was set since the drain began is another handling's doing, or that of the pod's own hook.
            before = was_out_before(readings, command.since_at - END_TOLERANCE)
            was_out = was_out or (not ours if before is None else before) or self._was_found_out(command, target)
        was_out = was_out and not held
        target = target.written(self.ledger.written_at(*place))
        return replace(target, may_have_override=ours, was_out=was_out)

    def _was_found_out(self, command: DrainCommand, target: Target) -> bool:
        """Return whether a handling of this drain has said that it was out before; a message that names it knows more.

        One that was killed at that leaves a copy which cannot know whether it has written.
        """
        noted = command.progress.targets if command.progress else ()
        key = (target.app, target.id)
        return self.ledger.was_out((command.drain_id, *key)) and all((one.app, one.id) != key for one in noted)

    def with_other_hands(self, seen: Observation) -> Observation:
        """Add what has become of those who have registered the id besides the pod, or after it."""
        command, target, now = seen.command, seen.target, seen.now
        key = (command.drain_id, target.app, target.id)
        seen = replace(
            seen,
            is_held=self.ledger.is_held(key),
            has_ended=self.ledger.has_ended(key, command.observed_at),
            is_over=self.ledger.ending(key) is not None,
            turn=self.ledger.turn(key),
        )
        shown = present(seen.readings)
        if seen.is_divided:
            silent = is_silent(target, seen.readings, now)
            others = [one for one in shown if not seen.may_be_its_own(one)]
            gone = [one for one in others if silent or self.ledger.is_of_a_going_pod(one)]
            seen = replace(seen, dead=frozenset((one.ip, one.registered_at) for one in gone))
        if any(map(seen.is_its_own, shown)):
            return seen
        return replace(
            seen,
            drained_anew=any(
                self.ledger.is_held_by_another(key, command.region, one.registered_at or now) for one in shown
            ),
            asked_to_go=any(self.ledger.is_asked_to_go(one, now) for one in shown),
        )

    def say_again(self, command: DrainCommand, now: datetime) -> Iterator[Event]:
        """Compose the answers to a person who has asked for what had ended by then: nothing is left to be done."""
        if command.requested_at is None or command.progress is None:
            return
        for app, instance_id in command.progress.found:
            ending = self.ledger.ending((command.drain_id, app, instance_id))
            if ending is not None and ending[1] <= command.requested_at:
                yield make_event(command, ending[0], now, reason=ENDED_BEFORE, app=app, instance_id=instance_id)

    async def record(self, entry: LogEntry) -> None:
        """Append an entry. An event may wait for the log; others read of a takeover first, or BrokerError is raised."""
        if isinstance(entry, Event):
            await self._publisher.record(entry)
        else:
            await self._publisher.write(entry)
        self.ledger.apply(entry)

    @property
    def is_written(self) -> bool:
        """Whether the log has taken every event."""
        return self._publisher.is_written

    async def wait_until_written(self) -> None:
        """Return once the log has taken every event, or when too many wait for that already."""
        if self._waiters >= self._max_waiters:
            return
        self._waiters += 1
        try:
            await self._publisher.wait_until_written()
        finally:
            self._waiters -= 1

    async def finish(self, within: timedelta) -> None:
        """Give what waits for the log this long to be written."""
        await self._publisher.finish(within)

    def count_retry(self, region: str) -> None:
        """Count a step that is to be taken again because something stands in its way."""
        self._publisher.count_retry(region)


def _is_untouched(target: Target) -> bool:
    """Return whether it was noted and nothing more: its first PUT waits for no log."""
    is_new = target.silent_since is None and target.trouble is None and target.attempt == 1
    return target.stage is Stage.take_out and is_new and not target.may_have_override
