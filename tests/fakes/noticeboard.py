"""The flows' ``Noticeboard``, noting what is posted and answering what the test says."""

from __future__ import annotations

from controller.domain.notices import Notice
from controller.errors import KubernetesError
from controller.flows.ports import Posted, Posting
from tests.fakes.virtual_time import elapsed


class FakeNoticeboard:
    """A name is there once, however often it is posted."""

    def __init__(self) -> None:
        self.there: dict[str, Notice] = {}
        self.tries: list[tuple[float, Notice]] = []
        """Every post, with the seconds since noon."""
        self.refusals: dict[str, Posting] = {}
        """What is answered in a namespace instead of posting."""
        self.broken: Exception | None = None

    @property
    def told(self) -> list[str]:
        """The reasons, in order."""
        return [notice.reason for notice in self.there.values()]

    async def post(self, notice: Notice) -> Posting:
        """Put it up."""
        self.tries.append((elapsed(), notice))
        if self.broken is not None:
            raise self.broken
        refusal = self.refusals.get(notice.namespace)
        if refusal is not None:
            return refusal
        self.there.setdefault(notice.name, notice)
        return Posted()


NOT_NOW = KubernetesError("the API server cannot be reached (TimeoutError)")
