"""Which living pods are found in the registry, as a worker would look for them, and why the others are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.domain.commands import Cause, Command
from controller.domain.decide import Publish, Refuse, Routing, cause_of, decide
from controller.domain.hints import HintError, read_hints
from controller.domain.pods import LivingPod, Pod
from controller.flows.find import Finder
from controller.flows.ports import Clock, Registry
from controller.flows.steps import Policy

NOTHING = "with nothing registered at their address or host name"


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


class Matcher:
    """Looks living pods up, the way that their drains would."""

    def __init__(self, *, regions: Mapping[str, Registry], policy: Policy, routing: Routing, clock: Clock) -> None:
        self._finders = {name: Finder(registry=registry, policy=policy) for name, registry in regions.items()}
        self._routing = routing
        self._clock = clock

    async def match(self, pods: Iterable[tuple[Pod, tuple[LivingPod, ...]]]) -> dict[str, Matches]:
        """Look up each pod with those that share its address or name. RegistryError when a region does not answer."""
        begun_at = self._clock()
        matches: defaultdict[str, Matches] = defaultdict(Matches)
        for pod, living in pods:
            if cause_of(pod) is not None or not pod.ip:
                continue
            for decision in decide(pod, Cause.asked, begun_at, self._routing, living):
                match decision:
                    case Refuse(reason=reason):
                        for name in self._finders:
                            matches[name].miss(pod, f"with an annotation that cannot be followed: {reason}")
                    case Publish(command=command) if command.region in self._finders:
                        await self._look_up(command, matches[command.region])
                    case _:
                        continue
        return dict(matches)

    async def _look_up(self, command: Command, matches: Matches) -> None:
        try:
            hints = read_hints(command.pod)
            resolution = await self._finders[command.region].find(command, hints, not_before=command.observed_at)
        except HintError as error:
            matches.miss(command.pod, f"with an annotation that cannot be followed: {error}")
            return
        if resolution.own:
            matches.found += 1
        elif resolution.rejected:
            matches.miss(command.pod, f"whose instance is left alone: {resolution.rejected[0].reason}")
        else:
            matches.miss(command.pod, NOTHING)
