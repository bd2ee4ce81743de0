"""What a stage of a drain decides from, and its decisions, which domain/stages returns and flows/lifecycle performs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Target
from controller.domain.events import Outcome
from controller.domain.instances import UP, Instance, Readings, as_first_registered, present
from controller.domain.ownership import Owned, Ownership, Unsettled, ownership_of
from controller.domain.reason import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that a stage decides from."""

    command: DrainCommand
    annotations: PodAnnotations
    target: Target
    readings: Readings
    now: datetime
    retention: timedelta
    window: timedelta
    """How long callers may go on using the instance once it is out at every node."""
    remove: bool = True
    """False: it is only taken out of service."""
    is_watched_over: bool = False
    """The region's lookout wakes the drain when something may have become of its instance."""
    is_held: bool = False
    """The log says that this drain has taken it out."""
    turn: int = 0
    """How often this drain has taken it out anew after an ending, by the log."""
    is_over: bool = False
    """The log says that this drain has ended here, and has not taken it out anew."""
    has_ended: bool = False
    """The log says that this drain has ended here since it was asked for: another handling has seen it through."""
    drained_anew: bool = False
    """The newer process under the id is itself drained by now: that drain is the one that holds it."""
    asked_to_go: bool = False
    """It is about to be drained: the override is that drain's as soon as its worker has seen it."""
    dead: frozenset[tuple[str, datetime | None]] = frozenset()
    """Address and time of registrations under the id that other pods have made, which are going, too, or silent."""
    _owners: dict[Instance, Ownership] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was decided of whom, since every rule asks; another observation begins anew."""

    @property
    def may_register(self) -> bool:
        """Whether something of the pod's may still appear."""
        return self.now < self.command.may_register_until

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node."""
        return tuple(reading.node for reading in self.readings)

    @property
    def unanswered(self) -> bool:
        """Whether some node did not answer: then nothing is proved."""
        return any(not reading.answered for reading in self.readings)

    @property
    def is_divided(self) -> bool:
        """Whether some node shows what may be the pod's own registration, and another one somebody else's."""
        own = [self.may_be_its_own(instance) for instance in present(self.readings)]
        return any(own) and not all(own)

    def is_its_own(self, instance: Instance) -> bool:
        """Whether this is still the process that is drained."""
        return isinstance(self.ownership(instance), Owned)

    def may_be_its_own(self, instance: Instance) -> bool:
        """Whether this is still the process that is drained, or a node's copy of it, as far as is known."""
        return isinstance(self.ownership(instance), Owned | Unsettled)

    def ownership(self, instance: Instance) -> Ownership:
        """Whose this registration is."""
        if (known := self._owners.get(instance)) is not None:
            return known
        registered = as_first_registered(instance, present(self.readings))
        found = self._owners[instance] = ownership_of(registered, self.command, self.annotations, self.target)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOut:
    """Set these nodes' instance OUT_OF_SERVICE, read it back, and ask again."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """Lift our override at every node: a newer process says UP and is kept out of service by it."""

    status: str = UP
    """What it shows then: another status where our override hides what the very process had said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete the instance at every node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is written to the log with a decision."""

    outcome: Outcome
    reason: Reason | None = None
    retention_ends_at: datetime | None = None
    safe_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    """Go on with this target when it is due."""

    target: Target
    report: Report | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Nothing more is to be done about this instance."""

    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """The same, and nothing more is to be reported either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstructed:
    """Something stands in the way: try again with backoff, and give up when it lasts too long."""

    reason: Reason
    safe_at: datetime | None = None
    target: Target | None = None
    """What has been noted meanwhile."""


StageDecision = TakeOut | GiveBack | Delete | Continue | Finish | Conclude | Obstructed
