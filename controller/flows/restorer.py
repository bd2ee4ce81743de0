"""Back in service: a living pod holds an id that a drain took out, and the override on it is ours to lift."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from loguru import logger

from controller.domain.annotations import AnnotationError, PodAnnotations, read_annotations
from controller.domain.commands import MAX_HELD, RestoreCommand, new_progress
from controller.domain.events import make_restored_event, make_takeover_event
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import Readings, present
from controller.domain.intervals import REPLICATION_INTERVAL
from controller.domain.reason import Reason, ReasonCode
from controller.domain.restore import LookAgain, Restored, decide_restore
from controller.domain.stage_decisions import GiveBack, Obstructed
from controller.errors import RegistryError
from controller.flows.drain_log import DrainLog
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResults
from controller.flows.instance_access import InstanceAccess
from controller.flows.looks import EARLY_TOLERANCE
from controller.flows.ports import Clock
from controller.flows.worker_policy import WorkerPolicy

REGISTRATION_TIMEOUT = timedelta(minutes=15)
"""How long a new process usually takes at the most until it has registered and says UP."""
LATE_INTERVAL = timedelta(minutes=1)
"""How often an id is looked at after that, while our override may still be on it."""
OVERRIDE_LIFETIME = timedelta(hours=1)
"""How long a server keeps an override under which nobody is registered any more."""
LOG_RETRY_INTERVAL = timedelta(seconds=1)
VERIFY_AGAIN = LookAgain(after=REPLICATION_INTERVAL)


class Restorer:
    """Takes restores of one region one step further."""

    def __init__(self, *, access: InstanceAccess, log: DrainLog, policy: WorkerPolicy, clock: Clock) -> None:
        self._access = access
        self._log = log
        self._policy = policy
        self._clock = clock

    async def handle(self, command: RestoreCommand) -> HandlerResults:
        """Look at each id; lift what is ours to lift; come back until nothing is left."""
        now = self._clock()
        progress = command.progress or new_progress(now)
        command = replace(command, progress=progress)
        if progress.due_at > now + EARLY_TOLERANCE:
            return (Delay(item=command, after=progress.due_at - now),)
        if not self._log.caught_up:
            # Only the log says whether the pod has begun to go meanwhile.
            return (Delay(item=command, after=LOG_RETRY_INTERVAL),)
        if not progress.step:
            await self._record_takeover(command)
        command = await self._with_other_apps(command)
        annotations = _annotations_of(command)
        decisions = await asyncio.gather(*(self._restore(command, annotations, held) for held in command.held))
        pairs = zip(command.held, decisions, strict=True)
        left = tuple(held for held, decision in pairs if not isinstance(decision, Restored))
        command = replace(command, held=left)
        troubles = [decision.reason for decision in decisions if isinstance(decision, Obstructed)]
        if troubles:
            return self._retry(command, troubles[0])
        now = self._clock()
        waited = now - progress.first_at
        if waited > REGISTRATION_TIMEOUT:
            # The drain's own looks go on until it has ended.
            left = tuple(held for held in left if not self._log.ledger.has_ended(held.key, held.out_at))
            command = replace(command, held=left)
        looks = [decision for decision in decisions if isinstance(decision, LookAgain)]
        is_forgotten = waited > REGISTRATION_TIMEOUT + OVERRIDE_LIFETIME and not any(
            look.has_override for look in looks
        )
        if not left or is_forgotten:
            return (Ack(),)
        after = LATE_INTERVAL if waited > REGISTRATION_TIMEOUT else min(look.after for look in looks)
        later = replace(progress, due_at=now + after, attempt=1, trouble=None, trouble_since=None)
        return (Delay(item=replace(command, progress=later), after=after),)

    async def _record_takeover(self, command: RestoreCommand) -> None:
        """Before anything is lifted: the drain that goes on looking at the id must not undo it."""
        for held in command.held:
            if not self._log.ledger.is_cleared(held.key, held.out_at):
                await self._log.record(make_takeover_event(command, held, self._clock()))

    async def _with_other_apps(self, command: RestoreCommand) -> RestoreCommand:
        """Add what the pod bears our override on in another app: an override is keyed by the id alone."""
        held_at = {held.id: held for held in command.held if held.ip in command.pod.addresses}
        if not held_at:
            return command
        try:
            shown = await self._access.registry.find(command.pod, not_before=self._clock() - self._policy.index_age)
        except RegistryError:
            return command  # what is known of goes on
        known = {(held.app, held.id) for held in command.held}
        others = {(one.app, one.id) for one in shown.candidates if one.id in held_at and one.has_override} - known
        added = tuple(replace(held_at[instance_id], app=app) for app, instance_id in sorted(others))
        return replace(command, held=(*command.held, *added)[:MAX_HELD])

    async def _restore(
        self, command: RestoreCommand, annotations: PodAnnotations, held: HeldInstance
    ) -> Restored | LookAgain | Obstructed:
        """Read every node, decide, lift the override if it is to be lifted, and prove it."""
        registry, ledger = self._access.registry, self._log.ledger

        def decide(readings: Readings) -> Restored | LookAgain | Obstructed | GiveBack:
            end = ledger.gone(held.uid)
            ended_at = end.gone_at if end is not None and end.proved else None
            written_at = ledger.written_at(held.region, held.app, held.id)
            return decide_restore(held, command.pod, annotations, readings, ended_at=ended_at, written_at=written_at)

        async with self._access.slot():
            readings = await registry.read(held.app, held.id)
            decision = decide(readings)
            if ledger.is_going(command.pod.uid, command.observed_at):
                return Restored()
            # What the process itself has cleared, by deregistering, is given back as well: nothing of ours is left.
            is_served = isinstance(decision, Restored) and ledger.is_held(held.key)
            if not isinstance(decision, GiveBack) and not is_served:
                return decision
            if not command.requested_by and self._is_drained_anew(command, held, readings):
                return Restored()
            if isinstance(decision, GiveBack):
                await registry.restore(held.app, held.id, readings, status=decision.status)
                readings = await self._access.read_back(
                    held.app,
                    held.id,
                    readings,
                    tuple(reading.node for reading in readings),
                    until=lambda fresh: isinstance(decide(fresh), Restored),
                )
        match decide(readings):
            case Restored():
                if not ledger.is_cleared(held.key, held.out_at):
                    reason = Reason(code=ReasonCode.taken_over, detail=f"{command.pod.key} holds the id now")
                    event = make_restored_event(
                        command,
                        held,
                        self._clock(),
                        nodes=readings,
                        reason=reason,
                        turn=ledger.turn(held.key),
                    )
                    await self._log.record(event)
                return VERIFY_AGAIN
            case GiveBack():
                return VERIFY_AGAIN
            case LookAgain() | Obstructed() as other:
                return other
            case never:
                assert_never(never)

    def _is_drained_anew(self, command: RestoreCommand, held: HeldInstance, readings: Readings) -> bool:
        """Return whether the override is another drain's by now: of a living pod, only a person's."""
        return any(
            one.registered_at is not None
            and self._log.ledger.is_held_by_another(held.key, command.region, one.registered_at)
            for one in present(readings)
        )

    def _retry(self, command: RestoreCommand, reason: Reason) -> HandlerResults:
        now = self._clock()
        assert command.progress is not None
        if reason != command.progress.trouble:
            log = logger.bind(drain=command.drain_id, pod=command.pod.key, region=command.region, reason=str(reason))
            log.warning("restore held up")
        later = self._policy.retry_or_give_up(command.progress, reason, now)
        if later is None:
            return (DeadLetter(item=replace(command, progress=new_progress(now)), reason=reason),)
        return (Delay(item=replace(command, progress=later), after=later.due_at - now),)


def _annotations_of(command: RestoreCommand) -> PodAnnotations:
    """Read what can be read: a broken annotation does not keep a living pod out of service."""
    try:
        return read_annotations(command.pod)
    except AnnotationError:
        return PodAnnotations()
