"""From a drain command to the instances that it is about: the first part of its lifecycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from controller.domain.annotations import PodAnnotations
from controller.domain.candidates import MAX_DOUBTED, MAX_INSTANCES, Rejected, Resolution
from controller.domain.causes import MAY_LIVE_ON, REVERSIBLE
from controller.domain.commands import CACHE_TIMEOUT, DrainCommand, Progress, Stage, Target, target_of
from controller.domain.instances import Instance, present, trouble_of
from controller.domain.intervals import FIND_MORE_INTERVAL, next_find_in
from controller.domain.ownership import Owned, names_the_pod, ownership_of
from controller.domain.reason import Reason, ReasonCode, combine
from controller.errors import RegistryError
from controller.flows.drain_log import DrainLog
from controller.flows.instance_finder import InstanceFinder
from controller.flows.ports import Clock, Registry
from controller.flows.worker_policy import WorkerPolicy

NOT_FOUND = Reason(code=ReasonCode.not_found, detail="no instance in the region is the pod's")
NONE_FITS = Reason(code=ReasonCode.not_found, detail="no instance of the pod in the region fits its annotations")
MAX_FOUND_PORTS = 2 * MAX_INSTANCES
"""That a message keeps: a plain and a secure one of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a drain is about."""

    targets: tuple[Target, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    """What is left alone, to be recorded."""
    progress: Progress
    """How far the search has come, and when to look again."""
    nothing: Reason | None = None
    """Why there is nothing to drain."""


class TargetFinder:
    """Finds the instances of one region's drain commands.

    It looks until the pod's end and a while beyond, also after one was found: a young instance is not in the servers'
    caches yet, and a pod that is deleted while it starts registers later.
    """

    def __init__(
        self, *, finder: InstanceFinder, registry: Registry, log: DrainLog, policy: WorkerPolicy, clock: Clock
    ) -> None:
        self._finder = finder
        self._registry = registry
        self._log = log
        self._policy = policy
        self._clock = clock

    async def find(self, command: DrainCommand, annotations: PodAnnotations, *, redelivered: bool) -> Found:
        """Return what is still to be drained. RegistryError when no node answers, or one that may hold it."""
        progress, now = command.progress, self._clock()
        assert progress is not None
        known = self._still_open(command, progress.targets, perhaps_written=redelivered)
        if progress.found_all or (progress.targets and progress.first_look_at is None):
            return Found(targets=known, progress=replace(progress, found_all=True))
        first_look_at = progress.first_look_at or now
        until = max(first_look_at + CACHE_TIMEOUT, command.may_register_until)
        resolution = await self._look(command, annotations, is_last=now >= until)
        resolution, fresh = await self._fresh(command, resolution, known, redelivered=redelivered)
        targets = known + fresh[: MAX_INSTANCES - len(known)]  # the others are found again, once there is room
        if not targets and not progress.found:
            targets = await self._held(command, annotations)
        rejected = await self._unrecorded(command, resolution, targets)
        if resolution.missing and not targets and not progress.found:
            raise RegistryError.of(combine(resolution.missing))
        found = dict.fromkeys((*progress.found, *((target.app, target.id) for target in targets)))
        shown = (instance for instance in resolution.own if (instance.app, instance.id) in found)
        ports = {*progress.found_ports, *(port for instance in shown for port in instance.ports)}
        progress = replace(
            progress,
            first_look_at=first_look_at,
            found=tuple(found)[-MAX_INSTANCES:],
            found_ports=tuple(sorted(ports))[:MAX_FOUND_PORTS],
            doubted=tuple(dict.fromkeys((*progress.doubted, *_ambiguous(resolution))))[:MAX_DOUBTED],
        )
        # The only one that is looked for is somebody else's; but a pod that still starts may take the id over.
        is_answered = bool(rejected and annotations.instance_id) and now >= command.may_register_until
        lives_on = bool(found) and not targets and all(self._lives_on(command, place) for place in found)
        progress = self._until_next_look(progress, until, resolution, is_answered=is_answered or lives_on)
        # A watch that starts asks again for what terminates: what an earlier command found may have gone since.
        is_known_to_end = command.requested_at is None and self._log.ledger.has_any_ended(command.drain_id)
        if progress.found_all and not found and not rejected and not is_known_to_end:
            narrowed = bool(annotations.app or annotations.instance_id or annotations.port)
            return Found(nothing=NONE_FITS if narrowed else NOT_FOUND, progress=progress)
        is_known = bool(targets) or progress.found_all or now - first_look_at >= CACHE_TIMEOUT
        return Found(targets=targets, rejected=rejected if is_known else (), progress=progress)

    def _until_next_look(
        self, progress: Progress, until: datetime, resolution: Resolution, *, is_answered: bool
    ) -> Progress:
        """Note when to look again; or that nothing more can appear."""
        now, first_look_at = self._clock(), progress.first_look_at
        assert first_look_at is not None
        wait = None if is_answered else next_find_in(first_look_at, now, until)
        # A node that is away may hold more; but like any trouble it is not waited for without end.
        if wait is None and (not resolution.missing or now > until + self._policy.give_up_after):
            return replace(progress, found_all=True)
        if wait is None or progress.found:
            wait = FIND_MORE_INTERVAL
        return replace(progress, due_at=now + wait, attempt=progress.attempt + 1, trouble=None, trouble_since=None)

    async def _look(self, command: DrainCommand, annotations: PodAnnotations, *, is_last: bool) -> Resolution:
        """Look into the index: anew when something depends on it, else as the region has it."""
        progress, now = command.progress, self._clock()
        assert progress is not None
        has_time = progress.found and not is_last
        if has_time:
            not_before = now - self._policy.index_age
        else:
            is_first = progress.first_look_at is None and progress.trouble is None
            not_before = progress.first_at - self._policy.index_age if is_first else now
        try:
            return await self._finder.find(command, annotations, not_before=not_before, by_id=not has_time)
        except RegistryError as error:
            if not progress.found:
                raise
            return Resolution(missing=(error.reason,))  # what was found goes on

    async def _fresh(
        self, command: DrainCommand, resolution: Resolution, known: Iterable[Target], *, redelivered: bool
    ) -> tuple[Resolution, tuple[Target, ...]]:
        """Return what is found for the first time, or again, since the pod, which still runs, has registered anew."""
        progress, now = command.progress, self._clock()
        assert progress is not None
        if not progress.found:
            fresh = tuple(target_of(instance, now) for instance in resolution.own)
            if command.cause in REVERSIBLE and (redelivered or progress.first_look_at is not None):
                fresh = await self._without_what_lives_again(command, fresh)
            if not redelivered:
                return resolution, fresh
            resolution, theirs = await self._taken_over_meanwhile(command, resolution)
            return resolution, fresh + theirs
        noted = {(target.app, target.id): target for target in progress.targets}
        in_hand = {(target.app, target.id) for target in known}
        new, again = [], []
        for instance in resolution.own:
            key = (instance.app, instance.id)
            if key not in progress.found:
                new.append(target_of(instance, now))
            elif (
                key not in in_hand
                and not self._lives_on(command, key)
                and self._log.ledger.is_registered_since_end(command.drain_id, instance)
            ):
                again.append(noted.get(key) or target_of(instance, now))  # it goes on where it was
        if new:
            await self._log.wait()
        return resolution, (*self._still_open(command, new, perhaps_written=redelivered), *again)

    def _lives_on(self, command: DrainCommand, place: tuple[str, str]) -> bool:
        """Return whether its drain has ended by giving it back to a pod that may live on, however it registers then."""
        return command.cause in MAY_LIVE_ON and self._was_given_back(command, place)

    def _was_given_back(self, command: DrainCommand, place: tuple[str, str]) -> bool:
        """Return whether this drain has given it back since the command was sent, by the log."""
        given_back_at = self._log.ledger.given_back_at((command.drain_id, *place))
        return given_back_at is not None and given_back_at >= command.observed_at

    async def _without_what_lives_again(self, command: DrainCommand, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Leave out what was given back after this command had been sent, and bears no override: its node came back.

        Not asked when a command is first taken up, which waits for nothing. An override shows that an earlier handling
        has written after that. RegistryError when a node that may bear one is away.
        """
        await self._log.wait()
        left = []
        for target in targets:
            if not self._was_given_back(command, (target.app, target.id)):
                left.append(target)
                continue
            readings = await self._registry.read(target.app, target.id)
            if any(not reading.answered for reading in readings):
                raise RegistryError.of(trouble_of(readings))
            if any(instance.has_override for instance in present(readings)):
                left.append(target)
        return tuple(left)

    async def _unrecorded(
        self, command: DrainCommand, resolution: Resolution, targets: tuple[Target, ...]
    ) -> tuple[Rejected, ...]:
        """Leave out what is drained, and what was: somebody else is there by now. A person who asks is answered."""
        keys = {(target.app, target.id) for target in targets}
        if resolution.rejected and not targets:
            await self._log.wait()
        return tuple(
            one
            for one in resolution.rejected
            if (one.instance.app, one.instance.id) not in keys and not self._is_over(command, one.instance)
        )

    def _is_over(self, command: DrainCommand, instance: Instance) -> bool:
        ledger, key = self._log.ledger, (command.drain_id, instance.app, instance.id)
        if command.requested_by:
            return ledger.has_ended(key, command.observed_at)
        given_back_at = ledger.given_back_at(key)
        return ledger.ending(key) is not None and (given_back_at is None or given_back_at >= command.observed_at)

    async def _taken_over_meanwhile(
        self, command: DrainCommand, resolution: Resolution
    ) -> tuple[Resolution, tuple[Target, ...]]:
        """Do not leave alone what a newer process holds now, before it is known to bear no override of ours.

        An id that names neither the pod nor its address is noted before it is written to, and was not.
        """
        now = self._clock()
        taken_over = [rejected.instance for rejected in resolution.rejected if rejected.is_taken_over]
        instances = [instance for instance in taken_over if names_the_pod(instance.id, command.pod)]
        theirs = [replace(target_of(instance, now), stage=Stage.retain) for instance in instances]
        if theirs:
            await self._log.wait()
        targets = self._still_open(command, theirs, perhaps_written=False)
        seen_to = {(target.app, target.id) for target in targets}
        left = [one for one in resolution.rejected if (one.instance.app, one.instance.id) not in seen_to]
        return replace(resolution, rejected=tuple(left)), targets

    async def _held(self, command: DrainCommand, annotations: PodAnnotations) -> tuple[Target, ...]:
        """Return what this drain took out before, by the log, and does not find any more.

        Its next step was lost in a crash; perhaps a newer process holds the id, at an address that is not the pod's.
        """
        targets, now = [], self._clock()
        for held in self._log.ledger.held_by(command.drain_id, command.region):
            shown = present(await self._registry.read(held.app, held.id))
            own = next((one for one in shown if isinstance(ownership_of(one, command, annotations), Owned)), None)
            if own is not None:
                target = target_of(own, now)
            else:
                target = Target(
                    app=held.app,
                    id=held.id,
                    ip=held.ip,
                    host_name="",
                    port=0,
                    stage=Stage.retain,
                    due_at=now,
                    silent_since=now,
                )
            targets.append(replace(target, stage=Stage.retain, may_have_override=True))
        return tuple(targets)

    def _still_open(
        self, command: DrainCommand, targets: Iterable[Target], *, perhaps_written: bool
    ) -> tuple[Target, ...]:
        """Leave out the instances whose drain has ended, which only the log says: whoever needs it has waited for it.

        A repetition of this command was seen through by another process, or a living pod was put back in service under
        the id. Who has left the id alone need not have known of what was written in this handling: that goes on. So
        does what was written by a command that was taken up, once more, after an earlier handling had cleared the id.
        ``perhaps_written``: by a handling that ended before it could say so.
        """
        ledger, progress = self._log.ledger, command.progress
        assert progress is not None
        still_open = []
        for one in targets:
            key = (command.drain_id, one.app, one.id)
            if one.may_have_override or perhaps_written:
                has_ended = ledger.is_cleared(key, progress.first_at)
            else:
                has_ended = ledger.has_ended(key, command.observed_at)
            if not has_ended:
                still_open.append(one)
        return tuple(still_open)


def _ambiguous(resolution: Resolution) -> Iterator[tuple[str, str]]:
    for one in resolution.rejected:
        if one.reason.code is ReasonCode.ambiguous:
            yield one.instance.app, one.instance.id
