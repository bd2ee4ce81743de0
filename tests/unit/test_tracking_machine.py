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

from controller.domain.pods import Pod
from controller.domain.tracking import Tracker
from tests.unit.building import NOON, a_pod, confirm, terminating

SCOPES = ("shop", "bank")
ADDRESSES = ("10.1.0.1", "10.1.0.2")
HOSTNAMES = ("web-0", "web-1")


def dying(pod: Pod) -> bool:
    """The rule, written once more: what ends a pod's life for good."""
    return pod.deletion_at is not None or pod.phase in ("Failed", "Succeeded")


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
        self.addressed: set[str] = set()
        self.owed: set[str] = set()
        self.lost: set[str] = set()
        self.handed_over: Counter[str] = Counter()
        self.lives: Counter[str] = Counter()

    # What happens in the cluster.

    @rule(
        target=pods,
        namespace=st.sampled_from(SCOPES),
        hostname=st.sampled_from(HOSTNAMES),
        ip=st.sampled_from(("", *ADDRESSES)),
        host_network=st.booleans(),
    )
    def appear(self, namespace: str, hostname: str, ip: str, host_network: bool) -> str:
        uid = f"uid-{len(self.lives)}"
        self.lives[uid] = 1
        self._happen(a_pod(uid, namespace=namespace, name=hostname, ip=ip, host_network=host_network))
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
            self._happen(replace(pod, ip=ip))

    @rule(uid=pods)
    def lose_its_address(self, uid: str) -> None:
        pod = self.objects.get(uid)
        if pod is not None and dying(pod):
            self._happen(replace(pod, ip=""))

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
                self._gone(pod)
        for name in SCOPES if not scope else (scope,):
            self.position[name] = len(self.log[name])
            self.last.pop(name, None)

    def _deliver(self, kind: str, pod: Pod) -> None:
        if kind == "changed":
            self.tracker.changed(pod, self.now)
            self._note(pod)
        else:
            self.tracker.removed(pod, self.now)
            self._gone(pod)

    def _note(self, pod: Pod) -> None:
        known = self.seen.get(pod.uid)
        self.seen[pod.uid] = replace(pod, ip=pod.ip or known.ip) if known else pod
        self.addressed |= {pod.uid} if pod.ip else set()
        if pod.phase == "Unknown" and not dying(pod):
            self.lost.add(pod.uid)
        elif not dying(pod):
            # Alive, or alive again: what was asked for while its node was lost is over.
            self.owed.discard(pod.uid)
            if pod.uid in self.lost:
                self.lost.discard(pod.uid)
                self.handed_over.pop(pod.uid, None)
        if (dying(pod) or pod.uid in self.lost) and pod.uid in self.addressed and not self.handed_over[pod.uid]:
            self.owed.add(pod.uid)

    def _gone(self, pod: Pod) -> None:
        self.addressed |= {pod.uid} if pod.ip else set()
        if pod.uid in self.addressed and not self.handed_over[pod.uid]:
            self.owed.add(pod.uid)
        self.seen.pop(pod.uid, None)

    @rule(which=st.integers(0, 20))
    def confirm(self, which: int) -> None:
        waiting = [due.pod.uid for due in self.tracker.due()]
        if waiting:
            uid = waiting[which % len(waiting)]
            confirm(self.tracker, uid)
            self.handed_over[uid] += 1
            self.owed.discard(uid)

    @rule(uid=pods)
    def confirm_once_more(self, uid: str) -> None:
        if uid not in self.owed:
            confirm(self.tracker, uid)

    @rule(seconds=st.integers(1, 60))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # What must hold.

    @invariant()
    def exactly_what_is_owed_is_due_and_nothing_twice(self) -> None:
        due = [entry.pod.uid for entry in self.tracker.due()]
        assert len(due) == len(set(due)) == self.tracker.backlog
        assert set(due) == self.owed
        assert all(entry.pod.ip for entry in self.tracker.due())
        assert all(count <= 1 for count in self.handed_over.values())

    @invariant()
    def sharing_is_what_a_search_through_all_pods_finds(self) -> None:
        for pod in self.seen.values():
            expected = {
                other.uid
                for other in self.seen.values()
                if other.uid != pod.uid
                and not dying(other)
                and other.phase != "Unknown"
                and ((pod.ip and other.ip == pod.ip) or set(pod.host_names) & set(other.host_names))
            }
            found = [other.uid for other in self.tracker.sharing(pod)]
            assert len(found) == len(set(found))
            assert len(found) == min(20, len(expected))
            assert set(found) <= expected

    @invariant()
    def only_what_is_seen_is_held(self) -> None:
        assert len(self.tracker) == len(self.seen)

    def teardown(self) -> None:
        """After the last pod is gone nothing is kept by address, and all is due or handed over."""
        for scope in SCOPES:
            self.tracker.listed(scope, [], self.now)
        assert len(self.tracker) == 0
        assert not self.tracker._by_address
        never_again = {uid for uid, count in self.handed_over.items() if count}
        due = {entry.pod.uid for entry in self.tracker.due()}
        assert due | never_again >= set(self.seen) & self.addressed
        assert not due & never_again


TestAnyInterleavingGivesEachDyingPodExactlyOneDrain = Cluster.TestCase
TestAnyInterleavingGivesEachDyingPodExactlyOneDrain.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
