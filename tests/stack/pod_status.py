"""What a kubelet would write into a pod's status, computed from the states of its containers. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = dict[str, Any]


@dataclass
class ContainerState:
    """One container as the node sees it now."""

    name: str
    image: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    ready: bool = False
    restarts: int = 0
    last: Object | None = None

    @property
    def running(self) -> bool:
        return self.started_at is not None and self.finished_at is None

    def as_status(self) -> Object:
        """The containerStatuses entry."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "",
            "ready": self.ready and self.running,
            "started": self.running,
            "restartCount": self.restarts,
            "state": self.as_state(),
            "lastState": self.last or {},
        }

    def as_state(self) -> Object:
        """Waiting, running or terminated."""
        if self.started_at is None:
            return {"waiting": {"reason": "ContainerCreating"}}
        if self.finished_at is None:
            return {"running": {"startedAt": stamp(self.started_at)}}
        return {
            "terminated": {
                "exitCode": self.exit_code or 0,
                "reason": "Error" if self.exit_code else "Completed",
                "startedAt": stamp(self.started_at),
                "finishedAt": stamp(self.finished_at),
            }
        }


def phase_of(states: Sequence[ContainerState], *, ended: bool) -> str:
    """`ended`: no container will be started again."""
    if ended:
        return "Failed" if any(state.exit_code for state in states) else "Succeeded"
    return "Running" if any(state.started_at for state in states) else "Pending"


def status_of(
    states: Sequence[ContainerState],
    *,
    phase: str,
    ips: Sequence[str],
    host_ip: str,
    started_at: datetime,
    conditions: Sequence[Object],
    reason: str | None = None,
) -> Object:
    """The patch for the status subresource."""
    status: Object = {
        "phase": phase,
        "podIP": ips[0],
        "podIPs": [{"ip": ip} for ip in ips],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": stamp(started_at),
        "conditions": list(conditions),
        "containerStatuses": [state.as_status() for state in states],
    }
    return status | ({"reason": reason} if reason else {})


def bare_status_of(conditions: Sequence[Object]) -> Object:
    """The same for a pod of which its node knows no more than that it has evicted it: a merge takes the rest away."""
    unknown = ("podIP", "podIPs", "hostIP", "hostIPs", "startTime", "containerStatuses")
    return {"phase": "Failed", "reason": "Evicted", "conditions": list(conditions), **dict.fromkeys(unknown)}


def conditions_of(ready: bool, before: Sequence[Object], at: datetime, *, evicted: bool = False) -> list[Object]:
    """All conditions; one that did not change keeps its transition time."""
    wanted = {"PodReadyToStartContainers": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    if evicted:
        wanted["DisruptionTarget"] = True
    old = {condition["type"]: condition for condition in before}
    found = []
    for name, value in wanted.items():
        condition: Object = {"type": name, "status": str(value), "lastTransitionTime": stamp(at)}
        if name == "DisruptionTarget":
            condition["reason"] = "TerminationByKubelet"
        if name in old and old[name]["status"] == condition["status"]:
            condition = old[name]
        found.append(condition)
    return found


def stamp(at: datetime) -> str:
    """As the API has it: whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
