"""What programs are answered about rollouts: see ``answers``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from controller.domain.drain_record import DrainRecord
from controller.domain.rollouts import Rollout, deciding_drain
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.ops.answers import DrainAnswer, JsonAnswer, drain_answer, fill, in_seconds


class LeavingPodAnswer(JsonAnswer):
    """How one pod of a rollout ended."""

    namespace: str
    pod: str
    uid: str
    since_at: Annotated[datetime | None, Meta(description="When it began to go.")]
    ended_at: Annotated[datetime | None, Meta(description="When it ended serving.")]
    shutdown: Annotated[ShutdownVerdict, Meta(description="Whether it served until no caller used it any more.")]
    shutdown_text: Annotated[str, Meta(description="The same in words; empty while it is pending.")]
    short_seconds: Annotated[int | None, Meta(description="How much longer it should have served.")]
    shutdown_reason: str
    drains: Annotated[list[DrainAnswer], Meta(description="One for each region.")]


class RolloutAnswer(JsonAnswer):
    """Pods of one revision of a workload that went one after the other."""

    cluster: str
    namespace: str
    kind: Annotated[str, Meta(description="Deployment, StatefulSet …; Pod for one that nothing controls.")]
    workload: str
    revision: Annotated[str, Meta(description="The hash of the template that the pods were made from.")]
    apps: list[str]
    began_at: Annotated[datetime, Meta(description="When the first pod began to go.")]
    ended_at: Annotated[datetime | None, Meta(description="When the last pod ended serving; null while one is there.")]
    seconds: Annotated[float | None, Meta(description="From began_at to ended_at.")]
    graceful: Annotated[int, Meta(description="Pods that served until no caller used them any more.")]
    not_graceful: int
    pending: Annotated[int, Meta(description="Pods that are still there, or not known to be out.")]
    not_judged: int
    longest_short_seconds: Annotated[int | None, Meta(description="What the pod lacked that lacked most.")]
    pods: list[LeavingPodAnswer]


class RolloutsAnswer(JsonAnswer):
    """The rollouts that the filters choose, the newest first."""

    rollouts: list[RolloutAnswer]
    more: Annotated[int, Meta(description="How many more there are.")]


def rollout_answer(rollout: Rollout, now: datetime) -> RolloutAnswer:
    """Describe one rollout."""
    verdicts = rollout.verdicts
    return fill(
        RolloutAnswer,
        rollout,
        apps=list(rollout.apps),
        seconds=in_seconds(rollout.took),
        pods=[_leaving_pod(drains, now) for drains in rollout.drains_by_pod.values()],
        **{verdict.value: verdicts[verdict] for verdict in ShutdownVerdict},
    )


def _leaving_pod(drains: list[DrainRecord], now: datetime) -> LeavingPodAnswer:
    record, shutdown = drains[0], shutdown_of(deciding_drain(drains))
    return fill(
        LeavingPodAnswer,
        record,
        ended_at=record.end.ended_at if record.end else None,
        shutdown=shutdown.verdict,
        shutdown_text=shutdown.text,
        short_seconds=shutdown.short_seconds,
        shutdown_reason=shutdown.reason,
        drains=[drain_answer(one, now) for one in drains],
    )
