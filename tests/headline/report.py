"""All that was seen, as JSON: the figures can be looked at again, rollout by rollout and instance by instance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tests.headline import eureka_load
from tests.headline.calls import Call
from tests.headline.judged import Judged
from tests.headline.record import Leaving, Rollout
from tests.headline.scene import CALLER, SERVICE
from tests.headline.trial import Trial
from tests.headline.verdict import Figures, last_calls, milliseconds, staleness

Load = dict[str, dict[str, float]]


def load_of(trial: Trial) -> Load:
    """Requests a second to all nodes of the region together: of one caller, and of one instance."""
    begin, end = trial.begin, trial.end
    counted = eureka_load.count(eureka_load.read(trial.stack.folder / "eureka"), milliseconds(begin), milliseconds(end))
    quick = {variant.key for variant in trial.variants if variant.quick}
    kinds = {"stock": trial.callers.keys() - quick, "with both components": quick}
    found: Load = {}
    for how, keys in kinds.items():
        names = {f"{key}.{CALLER}" for key in keys}
        found[f"a caller, {how}"] = eureka_load.per_second(counted, names, len(keys) * (end - begin).total_seconds())
    for how, keys in kinds.items():
        lived = sum(
            (min(one.exited_at or end, end) - max(one.started, begin)).total_seconds()
            for one in trial.stack.cluster.node.timelines.values()
            if one.namespace in keys and one.started and one.started < end and (one.exited_at or end) > begin
        )
        names = {f"{key}.{SERVICE}" for key in keys}
        found[f"an instance, {how}"] = eureka_load.per_second(counted, names, lived)
    return found


def as_json(
    trial: Trial, columns: Sequence[Figures], load: Load, judged: Judged, problems: Sequence[str], seed: int
) -> str:
    """Times are ISO 8601 in UTC, those of calls milliseconds since 1970."""
    everything = {
        "seed": seed,
        "begin": trial.begin,
        "end": trial.end,
        "problems": problems,
        "variants": [asdict(figures) for figures in columns],
        "judged_by_eureka_drain": judged,
        "requests_to_eureka_per_second": load,
        "rollouts": [
            _rollout(one, trial.callers[one.variant].calls, trial.nodes(one.variant)) for one in trial.rollouts
        ],
        "lost": {
            key: [asdict(call) for call in caller.calls if call.lost and milliseconds(trial.begin) <= call.begun]
            for key, caller in trial.callers.items()
        },
    }
    return json.dumps(everything, indent=1, default=_plain)


def _rollout(rollout: Rollout, calls: Sequence[Call], nodes: Sequence[str]) -> dict[str, Any]:
    last = last_calls(calls)
    lost = [call for call in calls if call.lost]
    return {
        "variant": rollout.variant,
        "round": rollout.number,
        "asked_at": rollout.asked_at,
        "gone_at": rollout.gone_at,
        "old": [_instance(one, last, lost, nodes) for one in rollout.leaving],
    }


def _instance(one: Leaving, last: Mapping[str, int], lost: Sequence[Call], nodes: Sequence[str]) -> dict[str, Any]:
    return asdict(one) | {
        "unlisted_at": one.unlisted_at(nodes),
        "last_call": last.get(one.id),
        "stale_seconds": staleness(one, last, nodes),
        "lost": sum(call.instance == one.id for call in lost),
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
