"""Version 1 of what is reported besides the drains: pods' ends, and passes of the sweep. It changes as ``v1`` does."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from controller.messages.v1 import Short, Text, Time

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class PodEndV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.end``: a drained pod has ended serving."""

    version: Literal[1]
    cluster: Short
    drain_ids: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=256)]
    namespace: Short
    pod: Short
    uid: Short
    kind: Short
    workload: Short
    template: Short = ""
    at: Time
    ended_at: Time | None = None
    end_cause: Literal["no_hook", "hook", "grace", "killed", "by_itself", "unknown"] = "unknown"
    why: Text = ""


class SweepFindingV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance that no living pod stands behind."""

    app: Text
    instance_id: Text
    ip: Text
    status: Text = ""
    namespace: Short = ""
    pod: Short = ""
    evidence: Text = ""
    doubt: Text = ""


class SweepReportV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.sweep``: what a pass of the sweep came to in one region."""

    version: Literal[1]
    cluster: Short
    region: Short
    at: Time
    silent: Count = 0
    doubtful: Count = 0
    drained: bool = False
    incomplete: Text = ""
    findings: Annotated[tuple[SweepFindingV1, ...], Meta(max_length=200)] = ()
