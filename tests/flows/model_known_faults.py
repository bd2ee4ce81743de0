"""KNOWN FAULTS of the controller that histories run into, each excluded here and nowhere else.

Take out a function, with its call, when the fault is mended: the history that shows it stands in its docstring.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.domain.events import Event, Outcome
from controller.domain.reason import ReasonCode
from tests.flows.model_kinds import Kind, Member


def lifted_and_taken_out_again(key: tuple[str, str], happened: Iterable[Event]) -> bool:
    """What a person had set and lifts during a drain, the drain sets again, and does not give back to a successor."""
    there = [event for event in happened if (event.app, event.instance_id) == key and event.reason is not None]
    codes = {event.reason.code for event in there if event.reason is not None}
    return {ReasonCode.already_out, ReasonCode.back_in_service} <= codes


def last_under_a_shared_id(member: Member, happened: Iterable[Event]) -> bool:
    """After a shared id was given back, its last replica ends: the registration bears another dead one's address."""
    return member.kind is Kind.shared_id and any(
        event.outcome in (Outcome.restored, Outcome.superseded)
        for event in happened
        if (event.app, event.instance_id) == member.process.key
    )


CLUSTER_CLOCK_AHEAD = True
"""The API's times are not corrected: with a clock 30 s ahead a young registration looks older than its pod."""
END_LOST_WITH_THE_LOG = True
"""An end that was written before the log was deleted is not written again: a restarted worker never learns of it."""
RESTORE_WITHOUT_END = True
"""A restore of what the log has not said to have ended looks for ever, where somebody else holds the id."""
ENDED_BY_ANOTHER_HANDLING = True
"""A handling that has taken an id out is dropped when another one has ended the drain: a dead stranger's override stays."""
