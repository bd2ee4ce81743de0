"""The flows' ``Noticeboard``, noting what is posted and answering what the test says."""

from __future__ import annotations

from controller.domain.kubernetes_events import KubernetesEvent
from controller.errors import KubernetesError
from controller.flows.ports import Recorded, RecordResult
from tests.fakes.virtual_time import elapsed


class FakeNoticeboard:
    """A name is there once, however often it is posted."""

    def __init__(self) -> None:
        self.there: dict[str, KubernetesEvent] = {}
        self.tries: list[tuple[float, KubernetesEvent]] = []
        """Every post, with the seconds since noon."""
        self.refusals: dict[str, RecordResult] = {}
        """What is answered in a namespace instead of posting."""
        self.broken: Exception | None = None

    @property
    def told(self) -> list[str]:
        """The reasons, in order."""
        return [notice.reason for notice in self.there.values()]

    async def post(self, notice: KubernetesEvent) -> RecordResult:
        """Put it up."""
        self.tries.append((elapsed(), notice))
        if self.broken is not None:
            raise self.broken
        refusal = self.refusals.get(notice.namespace)
        if refusal is not None:
            return refusal
        self.there.setdefault(notice.name, notice)
        return Recorded()


NOT_NOW = KubernetesError("the API server cannot be reached (TimeoutError)")
