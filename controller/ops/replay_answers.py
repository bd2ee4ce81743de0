"""What programs are answered about replays: a plan, and how far its execution has come."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import asdict

from controller.domain.events import Outcome
from controller.domain.replay_plan import ReplayAction, ReplayItem
from controller.flows.replay_runs import ReplayRun, ReplayState
from controller.ops.answers import JsonAnswer, fill

StateName = Annotated[str, Meta(extra_json_schema={"enum": [one.name for one in ReplayState]})]
ActionName = Annotated[str, Meta(extra_json_schema={"enum": [one.name for one in ReplayAction]})]


class InstanceName(JsonAnswer):
    """An instance that would be drained."""

    app: str
    instance_id: str


class ItemAnswer(JsonAnswer):
    """What a replay would do about one drain."""

    drain_id: str
    action: ActionName
    reason: str
    region: str
    pod: str
    apps: list[str]
    instances: list[InstanceName]


class SentAnswer(JsonAnswer):
    """What was sent for a pod by hand; its drains show what comes of it."""

    drain_ids: list[str]
    requested_at: Annotated[
        datetime, Meta(description="What comes of it has this time of the request, or a later one.")
    ]


class PlanAnswer(JsonAnswer):
    """A plan. Nothing was changed."""

    executed: bool
    items: list[ItemAnswer]


class StepAnswer(ItemAnswer):
    """One drain of a replay that is executed."""

    outcome: Outcome | None


class ReplayAnswer(JsonAnswer):
    """How far a replay has come, and what each drain came to."""

    id: str = field(name="replay_id")
    executed: bool
    state: StateName
    requested_by: str
    requested_at: datetime
    requested_why: str
    over_at: Annotated[datetime | None, Meta(description="null: it still runs.")]
    trouble: str
    to_send: int
    sent: int
    outcomes: Annotated[dict[str, int], Meta(description="How many came to which outcome.")]
    open: Annotated[int, Meta(description="How many were sent and have no outcome yet.")]
    items: list[StepAnswer]


def item_answer(item: ReplayItem) -> ItemAnswer:
    """Describe one line of a replay's plan."""
    instances = [InstanceName(app=app, instance_id=instance_id) for app, instance_id in item.instances]
    return fill(ItemAnswer, item, action=item.decision.action.name, reason=item.decision.reason, instances=instances)


def replay_answer(run: ReplayRun) -> ReplayAnswer:
    """Describe how far a replay has come."""
    return fill(
        ReplayAnswer,
        run,
        executed=True,
        state=run.state.name,
        requested_by=run.requester.by,
        requested_at=run.requester.at,
        requested_why=run.requester.why,
        to_send=len(run.to_drain),
        sent=len(run.progress.sent),
        open=len(run.progress.open),
        items=[StepAnswer(**asdict(item_answer(step.item)), outcome=step.outcome) for step in run.steps],
    )
