"""Which living pods are found in the registry, as a worker would look for them, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from controller.domain.annotations import AnnotationError, read_annotations
from controller.domain.causes import Cause, cause_of
from controller.domain.commands import DrainCommand
from controller.domain.pods import LivingPod, Pod
from controller.domain.reason import combine
from controller.domain.routing import Publish, Refuse, Routing, make_commands
from controller.errors import RegistryError
from controller.flows.instance_finder import InstanceFinder
from controller.flows.ports import Clock

NOTHING = "with nothing registered at their address or host name"
NOT_FOLLOWED = "with an annotation that cannot be followed"


@dataclass(slots=True)
class Matches:
    """What was found in one region."""

    found: int = 0
    reasons: list[str] = field(default_factory=list)
    """Why a pod was not found; one for each of ``pods``."""
    pods: list[str] = field(default_factory=list)

    def miss(self, pod: Pod, reason: str) -> None:
        """Count a pod that was not found."""
        self.reasons.append(reason)
        self.pods.append(pod.key)


class RegistrationCheck:
    """Looks living pods up in one region, the way that their drains would."""

    def __init__(self, *, region: str, finder: InstanceFinder, routing: Routing, clock: Clock) -> None:
        self._region = region
        self._finder = finder
        self._routing = routing
        self._clock = clock

    async def match(self, pods: Iterable[tuple[Pod, tuple[LivingPod, ...]]]) -> Matches:
        """Look up each pod with those that share its address or name. RegistryError when no node answers."""
        begun_at = self._clock()
        matches = Matches()
        for pod, living in pods:
            if cause_of(pod) is not None or not pod.ip:
                continue
            for decision in make_commands(pod, Cause.asked, begun_at, self._routing, living):
                match decision:
                    case Refuse(reason=reason):
                        matches.miss(pod, f"{NOT_FOLLOWED}: {reason}")
                    case Publish(command=command):
                        if command.region == self._region:
                            await self._look_up(command, matches)
                    case _:
                        assert_never(decision)
        return matches

    async def _look_up(self, command: DrainCommand, matches: Matches) -> None:
        try:
            annotations = read_annotations(command.pod)
            resolution = await self._finder.find(command, annotations, not_before=command.observed_at)
        except AnnotationError as error:
            matches.miss(command.pod, f"{NOT_FOLLOWED}: {error}")
            return
        if resolution.missing and not resolution.own:
            raise RegistryError.of(combine(resolution.missing))
        if resolution.own:
            matches.found += 1
        elif resolution.rejected:
            matches.miss(command.pod, f"whose instance is left alone: {resolution.rejected[0].reason}")
        else:
            matches.miss(command.pod, NOTHING)
