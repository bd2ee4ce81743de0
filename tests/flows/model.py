"""A cluster, a registry and the controller between them, with a model of what must come of it all.

The model knows which pods live, what their processes report, which endings the controller has seen, who else is in the
registry, and what people set by hand. ``settle`` repairs everything, lets the dying die, waits, and compares.

By design, and so not asked for:

- A pod whose end no watch was there to see (it ended between two lists of which it was in neither, or while the only
  watch was away) is for the sweep to find.
- A process that outlives its pod and registers after the pod's end is left alone, unless it bears the pod's generated
  name or states its uid, and was taken out before: nothing distinguishes it from a successor, or nobody looks any more.
- What only a node that was away has kept of a pod, when the others showed a successor under its id, is left to the
  successor's heartbeats; if that one dies as well before the node is back, to the sweep.
- An override that a person set and that a memory loss of the nodes may have taken is expected neither to be there nor
  not to be.
- Two handlings of one drain which the log is kept from may each end it: as removed and as already gone, or as refused,
  superseded and restored. Each such word is true, and says the same of the instance. One that has written also outlasts
  one that left the id alone, and ends as what comes of the instance then. A command that comes once more after its end,
  before the log is read, may take out who holds the id by then, and is restored. Where the log itself was deleted,
  a drain may end in any two ways, or in none that is written: nobody can know that it has ended.
- A drain that has left an id alone ends twice when its pod, which outlives its object, registers there anew.
- A pod that ended more than 15 min before it is first seen is for the sweep too.
- A registration under a host name that ends with a number, at another address than its pod's, is never touched; no pod
  here registers like that.
- A shared id that was given back bears the first pod's address: its last process's end is left to the lease.
- A registration that states another pod's uid is never touched, whoever made it.
- A shared id stays out while the end of one of its pods is not proved, and that one's drain goes on: it may still run.
- An override on an id whose last holder died before every node had heard it say UP stays with the drain that has set
  it (a real node forgets the dead one, and the drain ends), where no drain is that holder's (unknown to the watch and
  to the log, unwatched, or stating another pod's uid): that drain goes on, for who registers under the id next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from controller.domain.commands import WorkItem
from controller.flows.worker_policy import WorkerPolicy
from tests.fakes.eureka_node import FakeNode
from tests.fakes.node_trouble import Trouble
from tests.fakes.outbox import Refusal
from tests.fakes.registry import FakeRegistry
from tests.fakes.virtual_time import virtual_clock
from tests.flows.model_broker import ModelBroker
from tests.flows.model_checks import ModelChecks
from tests.flows.model_cluster import MOMENT, ModelCluster
from tests.flows.model_people import ModelPeople
from tests.flows.model_replicas import BOOKMARK_INTERVAL, PREFETCH, Replica, WatchReplica, Witness, WorkerReplica

RETENTION = timedelta(minutes=1)
SETTLING = 20 * 60
"""Seconds: longer than any grace period, ghost, retention and restore of this model."""
MAX_SETTLING = 2 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """By how many seconds other clocks are ahead of the controller's."""

    cluster: int = 0
    machines: int = 0
    """Of the nodes where pods run: their kubelets and processes."""
    registry: tuple[tuple[int, int], ...] = ()
    """For each of the registry's nodes: how far ahead, and how far the controller's estimate of that is off."""


class Model:
    """An async context manager: everything runs inside of it."""

    def __init__(self, *, nodes: int = 2, workers: int = 1, clocks: Clocks | None = None) -> None:
        self.nodes: list[FakeNode] = FakeRegistry(nodes=nodes, clock=virtual_clock).nodes
        self.clocks = clocks or Clocks()
        for node, (ahead, error) in zip(self.nodes, self.clocks.registry, strict=False):
            node.clock_ahead, node.clock_error = timedelta(seconds=ahead), timedelta(seconds=error)
        self.broker = ModelBroker()
        self._number_of_workers = workers

    async def __aenter__(self) -> Self:
        self.cluster = cluster = ModelCluster(self.nodes)
        cluster.ahead = timedelta(seconds=self.clocks.cluster)
        cluster.machines_ahead = timedelta(seconds=self.clocks.machines)
        self.people = people = ModelPeople(cluster, self.broker)
        self.checks = ModelChecks(cluster, self.broker, people)
        cluster.current_feed = lambda: self.watch.feed if self.watch.up else None
        cluster.when_id_is_used_again = people.id_is_used_again
        cluster.when_deregistered = people.override_may_go
        policy = WorkerPolicy(retention=RETENTION, give_up_after=timedelta(hours=12), max_waiters=PREFETCH // 2)
        witness = Witness(before_take_out=self.checks.before_take_out, before_delete=self.checks.before_delete)
        self.workers = [WorkerReplica(self.broker, self.nodes, policy, witness) for _ in range(self._number_of_workers)]
        self.watch = WatchReplica(
            self.broker, cluster.new_feed, cluster.read_date, self._watch_is_up, self._watch_is_down
        )
        cluster.go_on(self._send_bookmarks())
        await asyncio.sleep(2)
        return self

    async def __aexit__(self, *_: object) -> None:
        for replica in self.replicas:
            await replica.stop()
        await self.cluster.close()

    @property
    def replicas(self) -> list[Replica]:
        """Every process of the controller."""
        return [*self.workers, self.watch]

    # What happens to the controller.

    async def interrupt_feed(self) -> None:
        """The watch of the API server ends."""
        self._keep_from_knowing()
        self.cluster.connected = False

    async def list_pods(self) -> None:
        """It is there again, and begins with a list."""
        self.cluster.list_pods()
        await asyncio.sleep(MOMENT)

    async def crash(self, replica: Replica, within: int) -> None:
        """A process dies at so many side effects from now on; at none: here and now."""
        self._keep_from_knowing()
        if within:
            replica.fate.doom(within)
        else:
            replica.kill()
        await asyncio.sleep(MOMENT)

    async def lose_channel(self, replica: WorkerReplica) -> None:
        """The broker gives to somebody else what this worker has not acknowledged."""
        replica.lose_channel()
        await asyncio.sleep(MOMENT)

    async def cut_log(self, replica: Replica, seconds: float) -> None:
        """A process does not hear of events for a while."""
        self._keep_from_knowing()
        log = replica.log
        if log is not None:
            log.cut()
            asyncio.get_running_loop().call_later(seconds, log.link)
        await asyncio.sleep(MOMENT)

    async def delete_log(self, seconds: float) -> None:
        """Somebody deletes the streams; they are declared again after so many seconds, and are empty then."""
        self._keep_from_knowing()
        self.broker.delete_log()
        asyncio.get_running_loop().call_later(seconds, self._log_is_back)
        for replica in self.replicas:
            await self.cut_log(replica, seconds + 1)

    def _log_is_back(self) -> None:
        self.broker.log_refusal = None

    async def stop_log(self, seconds: float) -> None:
        """Nothing can be written to the log for a while."""
        self._keep_from_knowing()
        self.broker.log_refusal = Refusal.lost
        asyncio.get_running_loop().call_later(seconds, self._log_is_back)
        await asyncio.sleep(MOMENT)

    @property
    def repeatable(self) -> list[WorkItem]:
        """What was sent."""
        return [*self.broker.sent, *self.broker.restores]

    async def repeat(self, item: WorkItem) -> None:
        """It comes once more."""
        self.broker.repeat(item)
        await asyncio.sleep(MOMENT)

    async def delay(self, delays: Sequence[float]) -> None:
        """From now on messages take so long, each in its turn."""
        self.broker.delays_of_messages.clear()
        self.broker.delays_of_messages.extend(delays)

    async def refuse(self, refusal: Refusal | None) -> None:
        """From now on publishes fail, or no longer."""
        self._keep_from_knowing()
        self.broker.refusal = refusal

    async def wait(self, seconds: float) -> None:
        """Time passes."""
        await asyncio.sleep(seconds)

    def _keep_from_knowing(self) -> None:
        """From now on a pod's end may be unknown to those who must know it."""
        self.cluster.is_calm = False
        for stranger in self.cluster.strangers:
            stranger.is_kept_from_us()

    def _watch_is_up(self) -> None:
        self.cluster.go_on(self.list_pods())

    def _watch_is_down(self) -> None:
        sent = {item.pod.uid for item in self.broker.sent}
        for member in self.cluster.members:
            member.known = False
            member.known_gone = member.known_gone and member.pod.uid in sent

    async def _send_bookmarks(self) -> None:
        while True:
            await asyncio.sleep(BOOKMARK_INTERVAL)
            self.cluster.version += 1  # other objects have changed
            feed = self.cluster.current_feed()
            if self.cluster.connected and feed is not None:
                feed.stays_silent()

    # What happens to the registry.

    async def lose_memory(self, node: FakeNode) -> None:
        """A node is killed."""
        await node.kill()
        self.people.memory_is_lost()

    async def trouble(self, node: FakeNode, trouble: Trouble) -> None:
        """A node answers nobody and misses what its peers replicate, is slow, or lies."""
        node.trouble = trouble
        self.people.memory_is_lost()

    async def repair(self, node: FakeNode) -> None:
        """It is there again."""
        if node.trouble is Trouble.down:
            await node.start()
        else:
            node.resume()

    # What must come of it.

    async def settle(self) -> None:
        """Repair everything, let the dying die, wait, and compare."""
        self.broker.refusal = self.broker.log_refusal = None
        self.broker.delays_of_messages.clear()
        self.broker.delays_of_messages.append(0.0)
        for node in self.nodes:
            await self.repair(node)
        for replica in self.replicas:
            replica.fate.spare()
            replica.reading = 1.0
            if replica.log is not None:
                replica.log.link()
        await asyncio.sleep(10)
        await self.list_pods()
        await asyncio.sleep(SETTLING)
        waited = SETTLING
        while not self.broker.idle and waited < MAX_SETTLING:
            await asyncio.sleep(60)
            waited += 60
        for replica in self.replicas:
            replica.check()
        self.checks.compare()
        self.cluster.is_calm = True
