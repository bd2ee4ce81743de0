"""Builders of the domain's values: each has usual facts, and a test names only those that matter to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Progress, Stage, Target, drain_id
from controller.domain.instances import OUT_OF_SERVICE, Condition, Instance, Reading, read
from controller.domain.pods import LivingPod, Owner, Pod
from controller.domain.reason import Reason, ReasonCode
from controller.domain.tracking import Tracker

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
"""When the pod of these tests is asked to go."""
POD_IP = "10.1.0.7"
NODES = ("http://eureka-0:8761/eureka", "http://eureka-1:8761/eureka", "http://eureka-2:8761/eureka")


STATEFUL_SET = Owner(api_version="apps/v1", kind="StatefulSet", name="orders", uid="uid-of-orders")
"""Whose pod ``shop/orders-0`` may be."""


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def a_pod(uid: str = "uid-1", /, **facts: Any) -> Pod:
    """A running pod ``shop/orders-0`` that was created an hour before noon."""
    usual: dict[str, Any] = {
        "namespace": "shop",
        "name": "orders-0",
        "uid": uid,
        "ip": POD_IP,
        "node": "node-a",
        "ports": (8080,),
        "phase": "Running",
        "created_at": at(-3600),
    }
    merged = {**usual, **facts}
    return Pod(**{"hostname": merged["name"], **merged})


def terminating(pod: Pod, *, asked_at: datetime = NOON, grace: int = 30) -> Pod:
    """The same pod once its deletion has been asked for."""
    return replace(pod, deletion_at=asked_at + timedelta(seconds=grace), grace_seconds=grace)


def a_living_pod(**facts: Any) -> LivingPod:
    """Another pod, ``shop/orders-1``, alive at its own address since an hour before noon."""
    usual: dict[str, Any] = {
        "namespace": "shop",
        "name": "orders-1",
        "uid": "uid-2",
        "ip": "10.1.0.8",
        "host_names": ("orders-1",),
        "created_at": at(-3600),
    }
    return LivingPod(**{**usual, **facts})


def a_command(pod: Pod | None = None, /, **facts: Any) -> DrainCommand:
    """A command to drain the pod in region ``eu``, asked for at noon with half a minute of grace."""
    pod = terminating(a_pod()) if pod is None else pod
    usual: dict[str, Any] = {
        "drain_id": drain_id("test", pod.uid, "eu"),
        "cluster": "test",
        "region": "eu",
        "cause": Cause.terminating,
        "pod": pod,
        "observed_at": NOON,
        "since_at": NOON,
        "end_at": at(30),
    }
    return DrainCommand(**{**usual, **facts})


def an_instance(**facts: Any) -> Instance:
    """The pod's registration: UP, under its address, since an hour before noon, with a heartbeat just before noon."""
    usual: dict[str, Any] = {
        "app": "ORDERS",
        "id": "orders-0:orders:8080",
        "ip": POD_IP,
        "host_name": "orders-0",
        "port": 8080,
        "status": "UP",
        "registered_at": at(-3590),
        "dirty_at": at(-3590),
        "renewed_at": at(80),
    }
    return Instance(**{**usual, **facts})


def out(**facts: Any) -> Instance:
    """The pod's registration once it is out of service."""
    return an_instance(**{"status": OUT_OF_SERVICE, "override": OUT_OF_SERVICE, **facts})


def a_target(**facts: Any) -> Target:
    """The pod's registration as it was when it was found."""
    usual: dict[str, Any] = {
        "app": "ORDERS",
        "id": "orders-0:orders:8080",
        "ip": POD_IP,
        "host_name": "orders-0",
        "port": 8080,
        "stage": Stage.take_out,
        "due_at": NOON,
    }
    return Target(**{**usual, **facts})


def a_reason(detail: str = "a node is away", code: ReasonCode = ReasonCode.unreachable) -> Reason:
    """Why something stands in the way."""
    return Reason(code=code, detail=detail)


def a_progress(*targets: Target, **facts: Any) -> Progress:
    """A worker's progress since noon."""
    return Progress(**{"first_at": NOON, "due_at": NOON, "targets": targets, **facts})


def readings(*answers: Instance | Condition | None) -> tuple[Reading, ...]:
    """What each node says: an instance, None for a 404, or the kind of trouble."""
    return tuple(_reading(node, answer) for node, answer in zip(NODES, answers, strict=False))


def _reading(node: str, answer: Instance | Condition | None) -> Reading:
    if isinstance(answer, Condition):
        return Reading(node=node, condition=answer, detail="HTTP 500" if answer is Condition.failing else "")
    return read(node, answer)


def confirm(tracker: Tracker, uid: str) -> None:
    """The broker confirms this pod's drain, if one is due."""
    for due in tracker.due():
        if due.pod.uid == uid:
            tracker.confirmed(due)
