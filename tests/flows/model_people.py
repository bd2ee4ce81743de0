"""People in the model, who take an instance out by hand and lift that again, and what stands of their word."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime

from controller.domain.clock_offset import TOLERANCE
from controller.domain.events import Outcome
from controller.domain.instances import OUT_OF_SERVICE
from controller.domain.ownership import END_TOLERANCE
from tests.fakes.eureka_node import UNKNOWN
from tests.flows.model_broker import ModelBroker
from tests.flows.model_cluster import MOMENT, ModelCluster
from tests.flows.model_kinds import Member
from tests.flows.model_process import Process


class ModelPeople:
    """What was set by hand stays, until a person lifts it, or what is under the id is gone."""

    def __init__(self, cluster: ModelCluster, broker: ModelBroker) -> None:
        self._cluster = cluster
        self._broker = broker
        self.out: dict[tuple[str, str], str] = {}
        """What a person took out of service, and must stay so: with the status that was set."""
        self.unclear: set[tuple[str, str]] = set()
        """What a person took out, and who knows what became of it."""
        self.set_at: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
        """When a person took it out, each time."""

    def expected(self, key: tuple[str, str]) -> tuple[str, str]:
        """Status and override of a process that says UP."""
        return (self.out[key], self.out[key]) if key in self.out else ("UP", UNKNOWN)

    def may_take_out(self, member: Member) -> bool:
        """Alive, UP everywhere, and nothing of ours is under way or left under its id."""
        uids = frozenset(one.pod.uid for one in self._cluster.under(member.process.key))
        return self._is_up_everywhere(member.process) and not self._broker.is_at_work_on(member.process.key, uids)

    def may_take_out_meanwhile(self, member: Member) -> bool:
        """The same of one that is going, and that no drain has read yet."""
        is_first = not any(
            one.uid == member.pod.uid and one.outcome is not Outcome.requested for one in self._broker.happened
        )
        return member.going and is_first and self._is_up_everywhere(member.process)

    async def take_out(self, member: Member, status: str = OUT_OF_SERVICE) -> None:
        """Somebody sets a status by hand, at every node."""
        self.unclear.discard(member.process.key)
        self.out[member.process.key] = status
        self.set_at[member.process.key].append(self._cluster.now())
        for node in self._cluster.nodes:
            await node.put_status(*member.process.key, status)
        await asyncio.sleep(MOMENT)

    def may_lift(self, member: Member) -> bool:
        """It is out everywhere, for whatever reason, and every node answers."""
        held = [node.held(*member.process.key) for node in self._cluster.nodes]
        return all(node.trouble is None for node in self._cluster.nodes) and all(
            one is not None and (one.out_of_service or one.is_kept_otherwise) for one in held
        )

    async def lift(self, member: Member) -> None:
        """Somebody lifts the override by hand, at every node."""
        self.out.pop(member.process.key, None)
        for node in self._cluster.nodes:
            await node.delete_status(*member.process.key, "UP")
        await asyncio.sleep(MOMENT)

    def is_unclear(self, key: tuple[str, str]) -> bool:
        """Whether nobody can know what is right under an id.

        ASSUMED: who set it just before a drain began, or during it, is not known: it may be the pod's own hook.
        """
        began = [one.asked_at for one in self._cluster.under(key) if one.asked_at is not None]
        late = [
            at for at in self.set_at.get(key, ()) for asked_at in began if at > asked_at - END_TOLERANCE - TOLERANCE
        ]
        return key in self.unclear or bool(late)

    def memory_is_lost(self) -> None:
        """A node may have forgotten what was set by hand."""
        for key in list(self.out):
            self.override_may_go(key)

    def override_may_go(self, key: tuple[str, str]) -> None:
        """It is deleted with the instance."""
        if key in self.out:
            del self.out[key]
            self.unclear.add(key)

    def id_is_used_again(self, key: tuple[str, str]) -> None:
        """A new process will register: under no override, where every node has forgotten it."""
        nodes = self._cluster.nodes
        if key in self.unclear and all(node.trouble is None and key[1] not in node.overrides for node in nodes):
            self.unclear.discard(key)

    def _is_up_everywhere(self, process: Process) -> bool:
        nodes = self._cluster.nodes
        held = [node.held(*process.key) for node in nodes]
        living = [one for one in self._cluster.members if one.process.key == process.key and one.process.alive]
        return (
            process.serves
            and all(node.trouble is None for node in nodes)
            and all(one is not None and one.status == "UP" and one.override == UNKNOWN for one in held)
            and len(living) == 1
        )
