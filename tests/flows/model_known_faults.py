"""KNOWN FAULTS of the controller that histories run into, each excluded here and nowhere else.

Take out a function, with its call, when the fault is mended: the history that shows it stands in its docstring.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.domain.events import Event, Outcome
from controller.domain.reason import ReasonCode
from tests.flows.model_kinds import Kind, Member


def taken_for_a_persons(key: tuple[str, str], happened: Iterable[Event], *, by_a_person: bool) -> bool:
    """One drain ends because a second one is to hold the id, and the second takes the first one's override for foreign.

    Three pods with one id, one after the other, each deleted by force: the third stays out.
    """
    return not by_a_person and any(
        event.reason is not None and event.reason.code is ReasonCode.already_out
        for event in happened
        if (event.app, event.instance_id) == key
    )


def lifted_and_taken_out_again(key: tuple[str, str], happened: Iterable[Event]) -> bool:
    """What a person had set and lifts during a drain, the drain sets again, and does not give back to a successor."""
    there = [event for event in happened if (event.app, event.instance_id) == key and event.reason is not None]
    codes = {event.reason.code for event in there if event.reason is not None}
    return {ReasonCode.already_out, ReasonCode.back_in_service} <= codes


def came_back_after_superseded(events: Iterable[Event]) -> bool:
    """A pod that still terminates takes its id back when its drain has ended superseded, and is not found again."""
    return any(event.outcome is Outcome.superseded for event in events)


def last_under_a_shared_id(member: Member, happened: Iterable[Event]) -> bool:
    """After a shared id was given back, its last replica ends: the registration bears another dead one's address."""
    return member.kind is Kind.shared_id and any(
        event.outcome in (Outcome.restored, Outcome.superseded)
        for event in happened
        if (event.app, event.instance_id) == member.process.key
    )


PERSON_AND_REDELIVERY = True
"""A redelivered command takes a person's override for ours: so after a crash nothing is expected of such a one."""
CLUSTER_CLOCK_AHEAD = True
"""The API's times are not corrected: with a clock 30 s ahead a young registration looks older than its pod."""
END_LOST_WITH_THE_LOG = True
"""An end that was written before the log was deleted is not written again: a restarted worker never learns of it."""
