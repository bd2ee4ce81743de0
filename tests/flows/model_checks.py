"""What must have come of it all, once everything is repaired and the dying are dead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import dropwhile

from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem
from controller.domain.events import FINAL, Event, Outcome, PodGoneEvent
from controller.domain.instances import Instance
from controller.domain.ownership import END_TOLERANCE
from tests.fakes.eureka_node import FakeNode
from tests.flows import model_known_faults as known_faults
from tests.flows.model_broker import ModelBroker
from tests.flows.model_cluster import ModelCluster
from tests.flows.model_kinds import Kind, Member, StatedUid, Stranger
from tests.flows.model_people import ModelPeople
from tests.flows.model_process import Process

GONE = frozenset({Outcome.removed, Outcome.already_gone})
UNKNOWING = frozenset({Outcome.refused, Outcome.superseded})
"""Outcomes of a handling that has found the id in other hands, and knows of no write."""
LEFT_ALONE = frozenset({Outcome.refused, Outcome.superseded, Outcome.restored})
"""Two handlings of one drain that have not read of each other may call the same end by several of these names."""


class ModelChecks:
    """Holds the registry, the queues and the event log against what the model knows."""

    def __init__(self, cluster: ModelCluster, broker: ModelBroker, people: ModelPeople) -> None:
        self._cluster = cluster
        self._broker = broker
        self._people = people
        self.violations: list[str] = []

    @property
    def _nodes(self) -> list[FakeNode]:
        return self._cluster.nodes

    # While it happens.

    def before_delete(self, app: str, instance_id: str, node: FakeNode) -> None:
        """Nothing is deleted behind which a living pod's process heartbeats."""
        self._people.override_may_go((app, instance_id))
        for member in self._cluster.living:
            process = member.process
            if process.key == (app, instance_id) and process.alive and process.says:
                held = node.held(app, instance_id)
                if process.is_held_as(held) or (held is not None and member.kind is Kind.shared_id):
                    self._violate(f"DELETE at {node.url} of the living {member!r}")

    def before_take_out(self, app: str, instance_id: str, node: FakeNode) -> None:
        """Nothing of somebody else's is taken out, even for a second."""
        held = node.held(app, instance_id)
        for stranger in self._cluster.strangers:
            process = stranger.process
            if process.key == (app, instance_id) and process.alive and stranger.never_out and process.is_held_as(held):
                self._violate(f"PUT at {node.url} of {stranger!r}")

    def _violate(self, what: str) -> None:
        self.violations.append(f"at {self._cluster.now():%T}: {what}")

    # At the end.

    def compare(self) -> None:
        """Raise AssertionError with everything that is wrong, and with the event log in short."""
        wrong = [*self.violations, *self._wrong()]
        assert not wrong, "\n".join([*wrong, "", *self.report()])

    def report(self) -> list[str]:
        """The event log in short."""
        return [
            f"{event.at:%T} {event.outcome.value} {event.pod} {event.uid} {event.cause.value} {event.instance_id} "
            f"{event.reason}"
            for event in self._broker.happened
        ]

    def _wrong(self) -> Iterator[str]:
        for member in self._cluster.members:
            yield from self._wrong_with_the_living(member) if member.lives else self._wrong_with_the_dead(member)
        for stranger in self._cluster.strangers:
            yield from self._wrong_with_a_stranger(stranger)
        for node in self._nodes:
            yield from self._wrong_overrides(node)
        yield from self._wrong_with_the_log()
        left = [item for item in self._broker.under_way() if not self._may_go_on(item)]
        if left:
            yield f"the queues are not empty: {left}"
        if self._broker.dead:
            yield f"dead letters: {[(item.pod.key, why) for item, why in self._broker.dead]}"

    def _may_go_on(self, item: WorkItem) -> bool:
        """Whether a message need not come to its end by now."""
        if isinstance(item, RestoreCommand):
            without_end = known_faults.RESTORE_WITHOUT_END and bool(self._broker.log_number)
            return without_end or self._is_held_for_one_unknown({(one.app, one.id) for one in item.held}, item.pod.uid)
        return self._has_a_zombie(item.pod.uid) or self._holds_for_one_unknown(item)

    def _holds_for_one_unknown(self, item: DrainCommand) -> bool:
        keys = {(target.app, target.id) for target in item.progress.targets} if item.progress else set()
        return self._is_held_for_one_unknown(keys, item.pod.uid)

    def _is_held_for_one_unknown(self, keys: set[tuple[str, str]], uid: str) -> bool:
        """Whether an override is guarded on an id whose last holder died without ever having said UP everywhere.

        No drain is that one's: nobody could know of its pod's end, or it states another pod's uid, or is no pod.
        """
        holders = [one for one in self._cluster.members if one.process.key in keys and one.pod.uid != uid]
        strangers = [one for one in self._cluster.strangers if one.process.key in keys]
        return any(map(self._is_unknown_holder, holders)) or any(map(self._is_dead_stranger, strangers))

    def _is_unknown_holder(self, member: Member) -> bool:
        is_nobodys = not member.known_gone or member.stated_uid is StatedUid.another
        return not member.lives and is_nobodys and self._never_said_up(member.process)

    def _is_dead_stranger(self, stranger: Stranger) -> bool:
        return not stranger.process.alive and self._never_said_up(stranger.process)

    def _never_said_up(self, process: Process) -> bool:
        """Whether no node, or not every one, has heard it say UP: some may show another one that is dead."""
        shown = [held for node in self._nodes if (held := node.held(*process.key)) is not None]
        own = [held for held in shown if process.has_registered(held)]
        return bool(own) and (len(own) < len(shown) or all(held.status == "STARTING" for held in own))

    def _has_a_zombie(self, uid: str) -> bool:
        """Whether a drain goes on for as long as others heartbeat under the pod's id."""
        own = [one for one in self._cluster.members if one.pod.uid == uid and one.kind is Kind.shared_id]
        unproved = not self._is_end_proved(uid)
        return any(self._stays_out_for_a_zombie(one) or (one.going and unproved) for one in own)

    def _wrong_with_the_living(self, member: Member) -> Iterator[str]:
        process = member.process
        if not process.serves or self._people.is_unclear(process.key) or self._stays_out_for_a_zombie(member):
            return
        shown = self._people.expected(process.key)
        for node in self._nodes:
            held = node.held(*process.key)
            if member.kind is Kind.shared_id and held is not None and held.override == shown[1]:
                continue  # which of its processes it shows is not for us to say
            if held is None or not process.is_held_as(held) or (held.status, held.override) != shown:
                yield f"alive: {member!r}; but {node.url} holds {held}"

    def _stays_out_for_a_zombie(self, member: Member) -> bool:
        """Whether the id is also that of a pod whose end nobody has proved: its process may still run."""
        if member.kind is not Kind.shared_id:
            return False
        others = [one for one in self._cluster.under(member.process.key) if one.going]
        return any(self._was_out(one) and not self._is_end_proved(one.pod.uid) for one in others)

    def _wrong_with_the_dead(self, member: Member) -> Iterator[str]:
        key = member.process.key
        if not member.known_gone or member.stated_uid is StatedUid.another:
            return
        if any(one.process.key == key and one.process.alive for one in self._cluster.everybody if one is not member):
            return
        for node in self._nodes:
            held = node.held(*key)
            if held is not None and member.process.has_registered(held) and not self._may_be_left(member, held):
                yield f"dead: {member!r}; but {node.url} holds {held}"

    def _wrong_with_a_stranger(self, stranger: Stranger) -> Iterator[str]:
        process = stranger.process
        younger = process.rival is not None and process.rival.alive
        if not process.serves or younger or self._people.is_unclear(process.key):
            return
        for node in self._nodes:
            held = node.held(*process.key)
            if held is None or (held.status, held.override) != self._people.expected(process.key):
                yield f"alive: {stranger!r}; but {node.url} holds {held}"

    def _wrong_overrides(self, node: FakeNode) -> Iterator[str]:
        for instance_id in node.overrides:
            there = [one for one in self._cluster.members if one.process.id == instance_id]
            strangers = [one for one in self._cluster.strangers if one.process.id == instance_id]
            if known_faults.ENDED_BY_ANOTHER_HANDLING and any(not one.process.alive for one in strangers):
                continue
            if any(self._is_out_rightly(one) for one in there) or any(map(self._is_dead_stranger, strangers)):
                continue
            held = node.by_id(instance_id)
            if held is None or not any(
                one.process.has_registered(held) and self._may_be_left(one, held) for one in there
            ):
                yield f"{node.url} keeps an override of {instance_id}"

    def _is_out_rightly(self, member: Member) -> bool:
        key = member.process.key
        if key in self._people.out or self._people.is_unclear(key):
            return True
        return self._stays_out_for_a_zombie(member) or self._is_unknown_holder(member)

    def _wrong_with_the_log(self) -> Iterator[str]:
        finals: defaultdict[tuple[str, str, str], dict[str, Outcome]] = defaultdict(dict)
        ended: set[str] = set()
        held: dict[tuple[str, str, str], str] = {}
        # An event that waited for the log, and one that a crash had written twice, stand behind what came after them.
        said = {event.event_id: event for event in reversed(self._broker.happened)}  # a repetition is no news
        for event in sorted(said.values(), key=lambda event: event.at):
            key = (event.drain_id, event.app, event.instance_id)
            if event.outcome in FINAL:
                finals[key][event.event_id] = event.outcome
                ended.add(event.drain_id)
            elif event.outcome is Outcome.out_of_service:
                held[key] = event.uid
                if LEFT_ALONE.issuperset(finals[key].values()):
                    del finals[key]  # its pod has registered it anew: see "By design"
        if self._broker.log_number:
            return  # what was to be written while there was no log goes with its process, when that crashes
        for key, outcomes in finals.items():
            # A handling that has written outlasts one that has not, and left the id alone, or was over: "By design".
            last = list(dropwhile(UNKNOWING.__contains__, outcomes.values()))
            given_back = bool(last) and last[-1] is Outcome.restored and GONE.issuperset(last[:-1])
            alike = LEFT_ALONE.issuperset(outcomes.values()) or GONE.issuperset(last) or given_back
            if len(outcomes) != 1 and not alike:
                yield f"{key} ended as {[outcome.value for outcome in outcomes.values()]}"
        guarding = {item.drain_id for item in self._broker.under_way() if self._may_go_on(item)}
        for key, uid in held.items():
            if key not in finals and key[0] not in guarding and not self._has_a_zombie(uid):
                yield f"{key} was taken out and has no ending"
        for item in {item.drain_id: item for item in self._broker.sent}.values():
            if item.drain_id not in ended | guarding and not self._has_a_zombie(item.pod.uid):
                yield f"the drain {item.drain_id} of {item.pod.key} has no ending"

    def _may_be_left(self, member: Member, held: Instance) -> bool:
        """Whether it was registered after the pod's end, or only a node that was away has kept it: see "By design"."""
        events = self._events_of(member)
        if any(not reading.answered for one in events if one.outcome in LEFT_ALONE for reading in one.nodes):
            return True
        if member.kind is Kind.shared_id and self._was_given_back(member.process.key):
            return True
        gone_at, made_at = self._gone_at(member.pod.uid), member.process.registered_at(held)
        if known_faults.COPY_TAKEN_FOR_A_LIVING_PODS and self._was_taken_for_a_living_pods(member, events):
            return True
        if gone_at is None or made_at is None or made_at <= gone_at + END_TOLERANCE:
            return False
        before = {event.outcome for event in events if event.at <= made_at}
        known = member.is_known_by_its_registration
        return not known or Outcome.out_of_service not in before or bool(before & FINAL)

    def _was_taken_for_a_living_pods(self, member: Member, events: list[Event]) -> bool:
        shown = [node.held(*member.process.key) for node in self._nodes]
        leases = [one.registered_at for one in shown if one is not None and one.registered_at is not None]
        at = max(leases)
        others = [one for one in self._cluster.members if one is not member and one.pod.ip == member.pod.ip]
        is_younger = any(one.pod.created_at is not None and one.pod.created_at <= at for one in others)
        return is_younger and any(event.outcome is Outcome.superseded for event in events)

    def _events_of(self, member: Member) -> list[Event]:
        key = (member.pod.uid, *member.process.key)
        return [event for event in self._broker.happened if (event.uid, event.app, event.instance_id) == key]

    def _was_given_back(self, key: tuple[str, str]) -> bool:
        left = [event for event in self._broker.happened if event.outcome in LEFT_ALONE]
        return any((event.app, event.instance_id) == key for event in left)

    def _was_out(self, member: Member) -> bool:
        return any(event.outcome is Outcome.out_of_service for event in self._events_of(member))

    def _ends_of(self, uid: str) -> list[PodGoneEvent]:
        return [one for one in self._broker.history if isinstance(one, PodGoneEvent) and one.uid == uid]

    def _is_end_proved(self, uid: str) -> bool:
        commands = [one for one in self._broker.sent if one.pod.uid == uid]
        return any(one.proved for one in self._ends_of(uid)) or any(one.end_proved for one in commands)

    def _gone_at(self, uid: str) -> datetime | None:
        """Since when the controller takes a pod for over."""
        said = [one.gone_at for one in self._ends_of(uid)]
        said += [one.gone_at for one in self._broker.sent if one.pod.uid == uid and one.gone_at is not None]
        return min(said, default=None)
