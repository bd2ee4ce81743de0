"""One Eureka node: the calls that a drain needs, and nothing else.

Not sent, ever: a heartbeat for somebody else (it keeps a corpse alive), ``lastDirtyTimestamp`` (a larger one makes the
server drop the client's next registration), the replication header. Each id is quoted as one path segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from urllib.parse import quote

import aiohttp

from controller.bounds import INDEX_ROOM
from controller.domain.addressing import MAX_REMEMBERED, unaddressable
from controller.domain.arrivals import Arrival
from controller.domain.instances import OUT_OF_SERVICE, Condition, Instance, Reading, read, trouble_of
from controller.domain.reason import Reason, combine
from controller.domain.region_state import NodeState
from controller.errors import RegistryError
from controller.eureka.absence import RegistryProof, may_be_a_registrys_404
from controller.eureka.registry_decoder import (
    NonsenseError,
    Peers,
    decode_arrivals,
    decode_instance,
    decode_peers,
)
from controller.eureka.registry_reader import RegistryList, RegistryReader
from controller.eureka.transport import (
    Answer,
    DeniedError,
    NodeAccess,
    Transport,
    UnreachableError,
)
from controller.flows.ports import Clock
from controller.tracing import span

REGISTRY_TIMEOUT = timedelta(seconds=30)
NOBODY = "EUREKA-DRAIN-DOCTOR-HAS-NO-INSTANCE"


class WrongPathError(NonsenseError):
    """404 to what every registry has: the URL leads elsewhere."""

    def __init__(self) -> None:
        super().__init__(
            "HTTP 404 to a list: no registry is there. The node's URL must be the server's REST base, with /eureka "
            "(or /eureka/v2 for a Netflix WAR) at its end, such as http://host:8761/eureka"
        )


class Node:
    """One server of a region."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: NodeAccess,
        *,
        clock: Clock,
        timeout: timedelta = timedelta(seconds=3),
        concurrency: int = 64,
    ) -> None:
        self._transport = Transport(session, access, clock=clock, timeout=timeout, concurrency=concurrency)
        self._proof = RegistryProof(self._show_a_list)
        self._has_delta = True

    @property
    def url(self) -> str:
        """Its address, safe to print."""
        return self._transport.url

    @property
    def is_frozen(self) -> bool:
        """Whether the last that was heard of it is that a request ran into its timeout."""
        return self._transport.is_frozen

    def note_silence(self) -> None:
        """Note that a request which may go on for long has been without an answer for the timeout of the others."""
        self._transport.is_frozen = True

    @property
    def clock_ahead(self) -> timedelta:
        """How far its clock is ahead of ours."""
        return self._transport.clock_offset.ahead

    def rotate_credentials(self, access: NodeAccess) -> None:
        """Use this access from the next request on; it leads where it did."""
        self._transport.rotate_credentials(access)

    async def read(self, app: str, instance_id: str) -> Reading:
        """Read one instance past every cache; whatever goes wrong is part of the reading."""
        try:
            return read(self.url, await self.get(app, instance_id))
        except RegistryError as error:
            return refusal(self.url, error)

    async def get(self, app: str, instance_id: str) -> Instance | None:
        """Return the instance as this node holds it, None when it does not."""
        instance = await self._instance(f"/apps/{_segment(app.upper())}/{_segment(instance_id)}")
        if instance is not None and (instance.app != app.upper() or instance.id != instance_id):
            raise NonsenseError("the answer is about another instance")
        return instance

    async def look_up(self, instance_id: str) -> Instance | None:
        """Return the instance of this id in whichever app, past every cache."""
        instance = await self._instance(f"/instances/{_segment(instance_id)}")
        if instance is not None and instance.id != instance_id:
            raise NonsenseError("the answer is about another instance")
        return instance

    async def arrivals(self, app: str) -> tuple[Arrival, ...]:
        """Return which instances of an app say UP, and since when, through the response cache: up to 30 s old."""
        answer = await self._transport.call("GET", f"/apps/{_segment(app.upper())}")
        return () if answer.status == 404 else decode_arrivals(answer.body, self.clock_ahead)

    async def everything(self, room: int = INDEX_ROOM) -> RegistryList:
        """Return the whole registry, through the server's response cache: up to 30 s old.

        ``room``: what its instances may take of our memory.
        """
        return (await self.dated_registry(room))[0]

    async def dated_registry(self, room: int = INDEX_ROOM) -> tuple[RegistryList, str]:
        """Return the same, and what the node's clock said."""
        reader = RegistryReader(clock_ahead=lambda: self.clock_ahead, room=room)
        answer = await self._list("/apps", reader, timeout=REGISTRY_TIMEOUT)
        found = reader.finish()
        self._proof.note()
        return found, answer.date

    async def try_to_write(self) -> None:
        """Set an override on an instance that nobody can have: shows whether writes are let through."""
        await self._write("PUT", f"/apps/{NOBODY}/{NOBODY}/status?value={OUT_OF_SERVICE}")

    async def peers(self) -> Peers:
        """Whom it replicates to, as it says itself. Its JSON of this page is broken, its XML is not."""
        return decode_peers((await self._transport.call("GET", "/status", accept="application/xml")).body)

    async def survey(self) -> NodeState:
        """Whether it answers, and its fingerprint of its registry: cheap, through the response cache."""
        try:
            counted = await self._fingerprint()
        except RegistryError as error:
            return NodeState(node=self.url, reachable=False, detail=str(error))
        self._proof.note()
        return NodeState(node=self.url, reachable=True, counted=counted)

    async def ask_server(self, path: str) -> bytes | None:
        """Return what it answers beside its registry, at the place where that stands; None where there is nothing.

        Servers answer with 401 or 403, or with a page, what they do not show.
        """
        base = self.url.removesuffix("/v2").removesuffix("/eureka")
        answer = await self._transport.call("GET", path, base=base)
        return None if answer.status == 404 else answer.body

    async def put_status(self, app: str, instance_id: str, status: str = OUT_OF_SERVICE) -> None:
        """Set an override. A 200 proves nothing (and a registry's 404 is as good): read it back."""
        with span("eureka.put_status", node=self.url, app=app, instance=instance_id, status=status):
            await self._write("PUT", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}/status?value={status}")

    async def lift(self, app: str, instance_id: str, status: str) -> None:
        """Lift the override and show this status. To be sent to every node at once: one after the other splits them."""
        with span("eureka.lift", node=self.url, app=app, instance=instance_id):
            await self._write("DELETE", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}/status?value={status}")

    async def delete(self, app: str, instance_id: str) -> None:
        """Delete the instance and its override. A registry's 404 is as good."""
        with span("eureka.delete", node=self.url, app=app, instance=instance_id):
            await self._write("DELETE", f"/apps/{_segment(app.upper())}/{_segment(instance_id)}")

    async def _instance(self, path: str) -> Instance | None:
        answer = await self._transport.call("GET", path)
        if answer.status == 404:
            await self._prove_absence(answer, path)
            return None
        return decode_instance(answer.body, self.clock_ahead)

    async def _write(self, method: str, path: str) -> None:
        answer = await self._transport.call(method, path)
        if answer.status == 404:
            await self._prove_absence(answer, path)

    async def _prove_absence(self, answer: Answer, path: str) -> None:
        """Raise RegistryError unless this 404 is a registry's word."""
        if not may_be_a_registrys_404(answer.body, path):
            raise NonsenseError("HTTP 404 with a body that is none of a registry's: who answers there?")
        await self._proof.demand()

    async def _show_a_list(self) -> None:
        """Ask for the shortest list, which is empty. A server that starts does not show it, nor what it is to copy."""
        await self._counted(f"/vips/{NOBODY}")

    async def _fingerprint(self) -> str:
        """Read it off the list of recent changes; off the whole list where a server does not keep the changes."""
        if self._has_delta:
            try:
                return await self._counted("/apps/delta")
            except DeniedError:
                counted = await self._counted("/apps")  # which raises it too where nothing is shown at all
                self._has_delta = False
                return counted
        return await self._counted("/apps")

    async def _counted(self, path: str) -> str:
        """Return how many instances of each status the server counts, whatever else the list holds."""
        reader = RegistryReader()
        await self._list(path, reader, timeout=REGISTRY_TIMEOUT if path == "/apps" else None)
        counted = reader.finish().counted
        if counted is None:
            raise NonsenseError("a list without its fingerprint")
        return counted

    async def _list(self, path: str, reader: RegistryReader, *, timeout: timedelta | None) -> Answer:
        answer = await self._transport.call("GET", path, take=reader.feed, timeout=timeout)
        if answer.status == 404:
            raise WrongPathError
        return answer


def refusal(url: str, error: RegistryError) -> Reading:
    """Turn a call's failure into a reading."""
    match error:
        case DeniedError():
            condition = Condition.denied
        case UnreachableError():
            condition = Condition.unreachable
        case _:
            condition = Condition.failing
    return Reading(node=url, condition=condition, detail=str(error))


def trouble(url: str, error: RegistryError) -> Reason:
    """Describe a call's failure in the words of readings."""
    return trouble_of((refusal(url, error),))


def too_slow(url: str) -> Reason:
    """Describe a node that was not waited for."""
    return trouble_of((not_waited_for(url),))


def not_waited_for(url: str) -> Reading:
    """Return the reading of a node that was not waited for."""
    return Reading(node=url, condition=Condition.unreachable, detail="much slower than the others")


def no_answer(troubles: Sequence[Reason]) -> RegistryError:
    """Return the error of a region of which no node, or not every node, answers."""
    return RegistryError.of(combine(troubles))


@lru_cache(MAX_REMEMBERED)
def _segment(text: str) -> str:
    if why := unaddressable(text):
        raise NonsenseError(f"{text[:60]!r} {why}")
    return quote(text, safe="")
