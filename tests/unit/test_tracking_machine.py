"""The tracker against a model: a cluster whose pods live and die, seen through lists and watches that come and go.

The cluster keeps a log of what happened. A watch of a scope delivers that log in order, late, each event once or
more; a list jumps to the present. So a pod that came and went between two lists may never be seen, and is owed nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from controller.domain.causes import REVERSIBLE
from controller.domain.gone import TIME_RESOLUTION, Gone
from controller.domain.pods import Pod
from controller.domain.tracking import MAX_SHARING, Tracker
from tests.unit.building import NOON, a_pod, confirm, terminating

SCOPES = ("shop", "bank")
ADDRESSES = ("10.1.0.1", "10.1.0.2")
HOSTNAMES = ("web-0", "web-1")
NODES = ("node-a", "node-b")


def dying(pod: Pod) -> bool:
    """The rule, written once more: what ends a pod's life for good. A static pod outlives its object."""
    return (pod.deletion_at is not None and not pod.mirror) or pod.phase in ("Failed", "Succeeded")


class Cluster(RuleBasedStateMachine):
    pods = Bundle("pods")

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker()
        self.now: datetime = NOON
        self.objects: dict[str, Pod] = {}
        self.log: dict[str, list[tuple[str, Pod]]] = {scope: [] for scope in SCOPES}
        self.position = dict.fromkeys(SCOPES, 0)
        self.last: dict[str, tuple[str, Pod]] = {}
        self.seen: dict[str, Pod] = {}
        self.shown_at: dict[str, datetime] = {}
        self.over_at: dict[str, datetime] = {}
        """When the object was there for the last time, as the tracker must say."""
        self.addressed: set[str] = set()
        self.owed: dict[str, bool] = {}
        """What is to be drained; True: for good."""
        self.shutting_down: set[str] = set()
        self.handed_over: dict[str, bool] = {}
        self.sent: Counter[str] = Counter()
        self.lives: Counter[str] = Counter()

    # What happens in the cluster.

    @rule(
        target=pods,
        namespace=st.sampled_from(SCOPES),
        hostname=st.sampled_from(HOSTNAMES),
        node=st.sampled_from(NODES),
        ip=st.sampled_from(("", *ADDRESSES)),
        second=st.sampled_from(("", "fd00::1")),
        host_network=st.booleans(),
        mirror=st.booleans(),
    )
    def appear(
        self, namespace: str, hostname: str, node: str, ip: str, second: str, host_network: bool, mirror: bool
    ) -> str:
        uid = f"uid-{len(self.lives)}"
        self.lives[uid] = 1
        ips = (ip, second) if ip and second else ()
        facts = {"node": node, "ip": ip, "ips": ips, "host_network": host_network, "mirror": mirror}
        self._happen(a_pod(uid, namespace=namespace, name=hostname, **facts))
        return uid

    @rule(uid=pods, ip=st.sampled_from(ADDRESSES))
    def get_an_address(self, uid: str, ip: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and not pod.ip and uid not in self.addressed:
            self._happen(replace(pod, ip=ip))

    @rule(uid=pods, ip=st.sampled_from(ADDRESSES))
    def get_another_address(self, uid: str, ip: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and pod.ip and not dying(pod):
            self._happen(replace(pod, ip=ip, ips=()))

    @rule(uid=pods)
    def lose_its_address(self, uid: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and dying(pod):
            self._happen(replace(pod, ip="", ips=()))

    @rule(uid=pods)
    def terminate(self, uid: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and pod.deletion_at is None:
            self._happen(terminating(pod, asked_at=self.now))

    @rule(uid=pods, phase=st.sampled_from(["Failed", "Succeeded"]))
    def end(self, uid: str, phase: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and not dying(pod):
            self._happen(replace(pod, phase=phase, finished_at=self.now))

    @rule(uid=pods)
    def lose_the_node(self, uid: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and not dying(pod):
            self._happen(replace(pod, phase="Unknown"))

    @rule(uid=pods)
    def find_the_node(self, uid: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and not dying(pod):
            self._happen(replace(pod, phase="Running"))

    @rule(uid=pods)
    def end_its_containers(self, uid: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and pod.ended_at is None and (pod.terminating or pod.finished or pod.mirror):
            self._happen(replace(pod, ended_at=self.now))

    @rule(node=st.sampled_from(NODES))
    def shut_down(self, node: str) -> None:
        self.shutting_down.add(node)
        self._node_says(node)

    @rule(node=st.sampled_from(NODES))
    def come_back(self, node: str) -> None:
        self.shutting_down.discard(node)
        self._node_says(node)

    def _node_says(self, node: str) -> None:
        shutting_down = node in self.shutting_down
        for pod in self.tracker.node_changed(node, self.now, shutting_down=shutting_down):
            if not shutting_down:
                self.shown_at[pod.uid] = self.now
            self._owe(self.seen[pod.uid])

    @rule(uid=pods)
    def vanish(self, uid: str) -> None:
        pod = self.objects.pop(uid, None)
        if pod is not None:
            self.log[pod.namespace].append(("removed", pod))

    def _happen(self, pod: Pod) -> None:
        self.objects[pod.uid] = pod
        self.log[pod.namespace].append(("changed", pod))

    # What the tracker sees.

    @rule(scope=st.sampled_from(SCOPES), events=st.integers(1, 5))
    def watch(self, scope: str, events: int) -> None:
        for _ in range(events):
            if self.position[scope] < len(self.log[scope]):
                kind, pod = self.log[scope][self.position[scope]]
                self.position[scope] += 1
                self.last[scope] = (kind, pod)
                self._deliver(kind, pod)

    @rule(scope=st.sampled_from(SCOPES))
    def repeat(self, scope: str) -> None:
        if scope in self.last:
            self._deliver(*self.last[scope])

    @rule(scope=st.sampled_from(("", *SCOPES)))
    def list_again(self, scope: str) -> None:
        inside = [pod for pod in self.objects.values() if scope in ("", pod.namespace)]
        self.tracker.listed(scope, inside, self.now)
        for pod in inside:
            self._note(pod)
        for uid, pod in list(self.seen.items()):
            if uid not in self.objects and scope in ("", pod.namespace):
                self._gone(pod, self.shown_at[uid])
        for name in SCOPES if not scope else (scope,):
            self.position[name] = len(self.log[name])
            self.last.pop(name, None)

    def _deliver(self, kind: str, pod: Pod) -> None:
        if kind == "changed":
            self.tracker.changed(pod, self.now)
            self._note(pod)
        else:
            self.tracker.removed(pod, self.now)
            self._gone(pod, self.now)

    def _note(self, pod: Pod) -> None:
        known = self.seen.get(pod.uid)
        if known is not None and pod.ip in ("", known.ip):
            pod = replace(pod, ip=known.ip, ips=known.ips)
        self.seen[pod.uid] = pod
        self.shown_at[pod.uid] = self.now
        self.addressed |= {pod.uid} if pod.ip else set()
        self._owe(pod)

    def _owe(self, pod: Pod) -> None:
        uid = pod.uid
        if dying(pod):
            self._owe_for_good(uid)
        elif pod.phase == "Unknown" or pod.node in self.shutting_down:
            if uid in self.addressed and uid not in self.handed_over:
                self.owed.setdefault(uid, False)
        else:
            # Alive, or alive again: what was asked for because of its node is over.
            if self.owed.get(uid) is False:
                del self.owed[uid]
            if self.handed_over.get(uid) is False:
                del self.handed_over[uid]

    def _owe_for_good(self, uid: str) -> None:
        if uid in self.addressed and not self.handed_over.get(uid):
            self.owed[uid] = True

    def _gone(self, pod: Pod, over_at: datetime) -> None:
        self.addressed |= {pod.uid} if pod.ip else set()
        if not pod.mirror or pod.finished or pod.ended_at:
            # Once it was removed, a repetition of that is no news: but it is due until the broker has it.
            if pod.uid in self.seen:
                self.over_at[pod.uid] = over_at
            self.over_at.setdefault(pod.uid, over_at)
            self._owe_for_good(pod.uid)
        self.seen.pop(pod.uid, None)

    @rule(which=st.integers(0, 20))
    def confirm(self, which: int) -> None:
        waiting = [due.pod.uid for due in self.tracker.due()]
        if waiting:
            uid = waiting[which % len(waiting)]
            confirm(self.tracker, uid)
            self.handed_over[uid] = self.owed.pop(uid)
            self.sent[uid] += self.handed_over[uid]

    @rule(uid=pods)
    def confirm_once_more(self, uid: str) -> None:
        if uid not in self.owed:
            confirm(self.tracker, uid)

    @rule(seconds=st.integers(1, 60))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # What must hold.

    @invariant()
    def exactly_what_is_owed_is_due_and_for_good_only_once(self) -> None:
        due = [entry.pod.uid for entry in self.tracker.due()]
        assert len(due) == len(set(due)) == self.tracker.backlog
        assert {entry.pod.uid: entry.cause not in REVERSIBLE for entry in self.tracker.due()} == self.owed
        assert all(entry.pod.ip for entry in self.tracker.due())
        assert all(count <= 1 for count in self.sent.values())

    @invariant()
    def a_pod_is_over_when_its_containers_ended_or_its_object_went(self) -> None:
        for entry in self.tracker.due():
            ended_at, over_at = entry.pod.ended_at, self.over_at.get(entry.pod.uid)
            if ended_at is not None:
                assert entry.gone is not None
                assert entry.gone.proved
                assert ended_at <= entry.gone.at <= min(ended_at + TIME_RESOLUTION, self.now)
            elif over_at is not None:
                assert entry.gone == Gone(at=over_at, proved=False)
            else:
                assert entry.gone is None or entry.pod.finished

    @invariant()
    def sharing_is_what_a_search_through_all_pods_finds(self) -> None:
        for pod in self.seen.values():
            expected = {
                other.uid
                for other in self.seen.values()
                if other.uid != pod.uid
                and not dying(other)
                and other.phase != "Unknown"
                and other.node not in self.shutting_down
                and (set(pod.addresses) & set(other.addresses) or set(pod.host_names) & set(other.host_names))
            }
            found = [other.uid for other in self.tracker.sharing(pod)]
            assert len(found) == len(set(found))
            assert len(found) == min(MAX_SHARING, len(expected))
            assert set(found) <= expected

    @invariant()
    def only_what_is_seen_is_held(self) -> None:
        assert len(self.tracker) == len(self.seen)

    def teardown(self) -> None:
        """After the last pod is gone nothing is kept by address, and all is due or handed over."""
        for scope in SCOPES:
            self.tracker.listed(scope, [], self.now)
        assert len(self.tracker) == 0
        assert len(self.tracker._by_address) == 0
        for uid, pod in self.seen.items():
            if uid in self.addressed and not (pod.mirror and not pod.finished and not pod.ended_at):
                assert self.handed_over.get(uid) or uid in {entry.pod.uid for entry in self.tracker.due()}


TestAnyInterleavingGivesEachDyingPodExactlyOneDrain = Cluster.TestCase
TestAnyInterleavingGivesEachDyingPodExactlyOneDrain.settings = settings(
    max_examples=250, stateful_step_count=40, deadline=None
)
