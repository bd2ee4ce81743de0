"""At which interval a pod fetches what it calls, as its containers' environment says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.errors import KubernetesError
from controller.kube.client_caches_decoder import MAX_CONTAINERS, decode_fetch_seconds

FETCH = "EUREKA_CLIENT_REGISTRYFETCHINTERVALSECONDS"
OLD = "EUREKA_CLIENT_REGISTRY_FETCH_INTERVAL_SECONDS"
PROPERTY = "eureka.client.registry-fetch-interval-seconds"


def read(*containers: dict[str, str] | None) -> int | None:
    made: list[dict[str, Any]] = [
        {} if one is None else {"env": [{"name": name, "value": value} for name, value in one.items()]}
        for one in containers
    ]
    return decode_fetch_seconds(json.dumps({"metadata": {"name": "a"}, "spec": {"containers": made}}).encode())


@pytest.mark.parametrize("name", [FETCH, OLD, PROPERTY, PROPERTY.upper()])
def test_it_is_read_in_every_spelling_that_spring_reads(name: str) -> None:
    assert read({"PATH": "/", name: "5"}) == 5


def test_the_slowest_container_counts_and_silence_leaves_it_open() -> None:
    assert read({FETCH: "5"}, {FETCH: "30"}) == 30
    assert read({FETCH: "5"}, {}) is None
    assert read({FETCH: "5"}, None) is None
    assert read() is None
    assert read(*[{FETCH: "5"}] * MAX_CONTAINERS, None) == 5, "the policy gives it to no more"


@pytest.mark.parametrize("value", ["", "soon", "-5", "5s", "9" * 30])
def test_what_is_no_number_says_nothing(value: str) -> None:
    assert read({FETCH: value}) is None


def test_a_value_from_a_secret_says_nothing_and_no_object_is_an_error() -> None:
    variable = {"name": FETCH, "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
    assert decode_fetch_seconds(json.dumps({"spec": {"containers": [{"env": [variable]}]}}).encode()) is None
    with pytest.raises(KubernetesError):
        decode_fetch_seconds(b"[]")
