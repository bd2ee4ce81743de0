"""What a run ends with, in words that do not depend on the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.e2e.event_log import Told
from tests.faults.crash_apps import App
from tests.stack.registry_client import Instance

FINAL = ("removed", "already_gone", "not_registered", "refused", "superseded", "restored", "failed")


@dataclass
class Ending:
    """How a run ended."""

    registry: dict[str, list[str]] = field(default_factory=dict)
    """Each instance's state at every node."""
    finals: dict[str, list[str]] = field(default_factory=dict)
    """The final outcomes of each instance of each pod, the same event counted once."""
    left: dict[str, int] = field(default_factory=dict)
    """Messages by queue."""
    trouble: list[str] = field(default_factory=list)

    def differences(self, reference: Ending) -> list[str]:
        """What is not as it was without a crash."""
        found = list(self.trouble)
        for what, mine, theirs in (
            ("registry", self.registry, reference.registry),
            ("outcomes", self.finals, reference.finals),
            ("messages left", self.left, reference.left),
        ):
            found += [
                f"{what}: {key} is {mine.get(key)}, not {theirs.get(key)}"
                for key in sorted(mine.keys() | theirs.keys())
                if mine.get(key) != theirs.get(key)
            ]
        return found


def finals_of(events: Sequence[Told], apps: Sequence[App]) -> dict[str, list[str]]:
    """The final outcomes by pod and instance; the same event counts once."""
    found: dict[str, list[str]] = {}
    by_uid = {app.uid: app for app in apps}
    for event in {event["event_id"]: event for event in events}.values():
        if event["outcome"] in FINAL:
            app = by_uid.get(event["uid"])
            pod = app.label if app else f"pod {event['pod']}"
            mine = app is not None and event["instance_id"] == app.instance_id
            key = f"{pod} {'its instance' if mine else event['instance_id'] or 'no instance'}"
            found.setdefault(key, []).append(event["outcome"])
    return {key: sorted(outcomes) for key, outcomes in found.items()}


def state_of(instance: Instance | None) -> str:
    """Status and override, as one node has them."""
    if instance is None:
        return "absent"
    override = instance.get("overriddenStatus") or instance.get("overriddenstatus") or "UNKNOWN"
    return str(instance["status"]) + ("" if override == "UNKNOWN" else f", override {override}")
