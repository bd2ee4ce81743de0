"""What we write ourselves fits the bounds that we read by, whoever chose its texts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import ValidationError

from controller.bounds import MAX_ADDRESSES, MAX_BODY_BYTES
from controller.domain.events import Outcome, make_event
from controller.domain.tracking import MAX_SHARING
from controller.flows.drain_log import MAX_LIVING
from controller.messages.codec import encode_entry, encode_item
from tests.unit.building import a_command, a_living_pod, a_progress, a_reason, a_target, an_instance, at


def test_the_fullest_command_of_ours_is_not_too_large_for_ourselves() -> None:
    long = "i" * 200
    nodes = {f"http://eureka-{number}.eureka.platform.svc.cluster.local:8761/eureka": at(number) for number in range(6)}
    many = [
        a_target(
            app="A" * 100,
            id=f"{long}{number}",
            host_name="h" * 63,
            renewals=nodes,
            silent_since=at(1),
            trouble=a_reason("t" * 300),
        )
        for number in range(64)
    ]
    facts = {"ips": ("f" * 39,) * MAX_ADDRESSES, "host_names": ("h" * 120,) * 5, "ports": tuple(range(64))}
    others = tuple(a_living_pod(uid=f"u-{n}", **facts) for n in range(MAX_SHARING))
    body = encode_item(a_command(living=others, progress=a_progress(*many)))
    assert len(body) < MAX_BODY_BYTES


def test_as_many_living_pods_are_sent_along_as_the_wire_and_a_worker_hold() -> None:
    assert MAX_SHARING == MAX_LIVING
    others = tuple(a_living_pod(uid=f"u-{n}") for n in range(MAX_SHARING + 1))
    assert encode_item(a_command(living=others[1:]))
    with pytest.raises(ValidationError, match="length <= 64"):
        encode_item(a_command(living=others))


@pytest.mark.parametrize(
    "facts", [{"id": "x" * 6_000}, {"app": "A" * 6_000}, {"id": "\x00" * 3_000}], ids=["id", "app", "zeros"]
)
def test_the_refusal_of_a_hostile_registration_can_be_written(facts: dict[str, str]) -> None:
    # Anybody may register such an instance at a pod's address; it must not stop the drain of the pod's own.
    hostile = an_instance(**facts)
    event = make_event(a_command(), Outcome.refused, at(0), reason=a_reason(), app=hostile.app, instance_id=hostile.id)
    assert len(encode_entry(event)) < MAX_BODY_BYTES


def test_a_target_with_a_hostile_address_can_be_sent_round() -> None:
    target = a_target(ip="9" * 5_000, due_at=at(0) + timedelta(minutes=5))
    assert encode_item(a_command(progress=a_progress(target)))
