"""The flows' ``EventRecorder``, keeping what is recorded and answering as the test sets it."""

from __future__ import annotations

from controller.domain.kubernetes_events import KubernetesEvent
from controller.errors import KubernetesError
from controller.flows.ports import Recorded, RecordResult
from tests.fakes.virtual_time import elapsed


class FakeEventRecorder:
    """An Event is there once, however often it is recorded."""

    def __init__(self) -> None:
        self.there: dict[str, KubernetesEvent] = {}
        self.tries: list[tuple[float, KubernetesEvent]] = []
        """Every try, with the seconds since noon."""
        self.refusals: dict[str, RecordResult] = {}
        """What is answered in a namespace instead of creating it."""
        self.broken: Exception | None = None

    @property
    def reasons(self) -> list[str]:
        """The reasons, in order."""
        return [event.reason for event in self.there.values()]

    async def record(self, event: KubernetesEvent) -> RecordResult:
        """Create it."""
        self.tries.append((elapsed(), event))
        if self.broken is not None:
            raise self.broken
        refusal = self.refusals.get(event.namespace)
        if refusal is not None:
            return refusal
        self.there.setdefault(event.name, event)
        return Recorded()


NOT_NOW = KubernetesError("the API server cannot be reached (TimeoutError)")
