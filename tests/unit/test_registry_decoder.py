"""A server's JSON, in the spellings that servers use, and nonsense."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.silence import silence_of
from controller.eureka.registry_decoder import CONTRADICTORY_POD_UID, NonsenseError, decode_instance
from tests.unit.registries import read_all

REGISTERED, RENEWED = 1_748_779_200_123, 1_748_779_290_456


def registration(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "instanceId": "orders-0:orders:8080",
        "hostName": "orders-0",
        "app": "orders",
        "ipAddr": "10.1.0.7",
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "leaseInfo": {
            "renewalIntervalInSecs": 10,
            "durationInSecs": 90,
            "registrationTimestamp": REGISTERED,
            "lastRenewalTimestamp": RENEWED,
        },
        "metadata": {"management.port": "8080"},
    }
    merged = {**whole, **changes}
    return {name: value for name, value in merged.items() if value is not ...}


def one(**changes: Any) -> Any:
    return decode_instance(json.dumps({"instance": registration(**changes)}).encode())


def everything(application: Any) -> Any:
    body = {"applications": {"versions__delta": "1", "apps__hashcode": "UP_1_", "application": application}}
    return read_all(json.dumps(body).encode())


def test_an_instance_is_read() -> None:
    instance = one()
    assert (instance.app, instance.id, instance.ip, instance.host_name) == (
        "ORDERS",
        "orders-0:orders:8080",
        "10.1.0.7",
        "orders-0",
    )
    assert (instance.port, instance.status, instance.override) == (8080, "UP", "UNKNOWN")
    assert instance.registered_at == datetime.fromtimestamp(REGISTERED / 1000, UTC)
    assert instance.renewed_at == datetime.fromtimestamp(RENEWED / 1000, UTC)
    assert instance.renewal_interval == timedelta(seconds=10)


@pytest.mark.parametrize(
    "changes",
    [
        {"overriddenStatus": "OUT_OF_SERVICE"},
        {"overriddenStatus": ..., "overriddenstatus": "OUT_OF_SERVICE"},
        {"overriddenStatus": None, "overriddenstatus": "OUT_OF_SERVICE"},
        {"overriddenStatus": "out_of_service"},
    ],
    ids=str,
)
def test_the_override_is_read_in_both_spellings(changes: dict[str, Any]) -> None:
    assert one(**changes).override == "OUT_OF_SERVICE"


def test_a_missing_override_is_none() -> None:
    assert one(overriddenStatus=...).override == "UNKNOWN"


def test_numbers_may_be_text() -> None:
    lease = {
        "renewalIntervalInSecs": "10",
        "registrationTimestamp": str(REGISTERED),
        "lastRenewalTimestamp": str(RENEWED),
    }
    assert one(leaseInfo=lease, port={"$": "8080", "@enabled": "true"}) == one()


@pytest.mark.parametrize("number", ["", "-", "--5", "-8", "abc", "1e3", "8080.0", "９", "1_0", "9" * 30])
def test_text_that_is_no_number_does_no_harm(number: str) -> None:
    lease = {"renewalIntervalInSecs": number, "registrationTimestamp": number, "lastRenewalTimestamp": RENEWED}
    instance = one(leaseInfo=lease, port={"$": number})
    assert silence_of(instance.renewal_interval) >= timedelta(seconds=5)
    assert instance.registered_at is None


@pytest.mark.parametrize("interval", [0, -30, 86_400, 10**15, None])
def test_an_incredible_interval_is_replaced_by_the_stock_one(interval: int | None) -> None:
    lease = {"renewalIntervalInSecs": interval, "lastRenewalTimestamp": RENEWED}
    assert silence_of(one(leaseInfo=lease).renewal_interval) == timedelta(seconds=30 + 5)


@pytest.mark.parametrize("stamp", [0, -1, 10**18, 2**62, "0"])
def test_a_renewal_time_that_is_none_makes_the_answer_nonsense(stamp: Any) -> None:
    # Without it nothing distinguishes silence from a heartbeat.
    with pytest.raises(NonsenseError):
        one(leaseInfo={"lastRenewalTimestamp": stamp})
    with pytest.raises(NonsenseError):
        one(leaseInfo=...)


def test_an_instance_without_an_id_is_known_by_its_host_name() -> None:
    assert one(instanceId=...).id == "orders-0"


@pytest.mark.parametrize("port", [..., None, {}])
def test_an_instance_without_a_port_has_none(port: Any) -> None:
    assert one(port=port).port == 0


@pytest.mark.parametrize(
    ("application", "count"),
    [
        ([], 0),
        ({"name": "ORDERS", "instance": registration()}, 1),
        ([{"name": "ORDERS", "instance": registration()}], 1),
        ([{"name": "ORDERS", "instance": [registration(), registration(instanceId="b")]}, {"name": "EMPTY"}], 2),
    ],
)
def test_one_item_may_stand_in_place_of_a_list(application: Any, count: int) -> None:
    assert len(everything(application)) == count


def test_an_instance_in_the_registry_may_lack_its_lease() -> None:
    [instance] = everything([{"instance": [registration(leaseInfo=...)]}])
    assert instance.registered_at is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>503</body></html>",
        b"<instance><app>ORDERS</app></instance>",
        b'{"instance":',
        b"null",
        b"[]",
        b"{}",
        b'{"instance":null}',
        b'{"instance":[]}',
        b'{"instance":{}}',
        b'{"applications":null}',
        b'{"applications":{"application":7}}',
        b"\xff" * 50,
        b'{"instance":' * 20_000,
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_nonsense_is_reported_as_such_in_one_short_line(body: bytes) -> None:
    for decode in (decode_instance, read_all):
        with pytest.raises(NonsenseError) as caught:
            decode(body)
        assert len(str(caught.value)) < 200
        assert str(caught.value).isprintable()


@given(st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_answer_or_nonsense(body: bytes) -> None:
    for decode in (decode_instance, read_all):
        with pytest.raises(NonsenseError):
            decode(body)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
)
numerals = st.from_regex(r"[-+]{0,3}[0-9]{0,25}(\.[0-9])?", fullmatch=True) | values


@given(st.sampled_from(sorted(registration())), values)
def test_a_registration_with_any_field_replaced_is_read_or_nonsense(name: str, value: Any) -> None:
    try:
        instance = one(**{name: value})
    except NonsenseError:
        return
    assert instance.app == instance.app.upper()
    assert silence_of(instance.renewal_interval) > timedelta(0)


@given(numerals, numerals, numerals, numerals)
def test_any_lease_and_port_are_read_or_nonsense(interval: Any, registered: Any, renewed: Any, port: Any) -> None:
    lease = {
        "renewalIntervalInSecs": interval,
        "registrationTimestamp": registered,
        "lastRenewalTimestamp": renewed,
    }
    with suppress(NonsenseError):
        one(leaseInfo=lease, port={"$": port})


def test_one_unreadable_instance_does_not_hide_the_others() -> None:
    good = {"app": "ORDERS", "instanceId": "good", "ipAddr": "10.1.0.7"}
    bad = {"app": "ORDERS", "instanceId": {"not": "text"}}
    body = json.dumps({"applications": {"application": [{"name": "ORDERS", "instance": [bad, good]}, 7]}}).encode()
    assert [instance.id for instance in read_all(body)] == ["good"]


@pytest.mark.parametrize(
    ("plain", "secure", "ports"),
    [
        ({"$": 8080, "@enabled": "true"}, {"$": 443, "@enabled": "false"}, (8080, 0)),
        ({"$": 80, "@enabled": "false"}, {"$": 8443, "@enabled": "true"}, (0, 8443)),
        ({"$": 80, "@enabled": False}, {"$": "8443", "@enabled": True}, (0, 8443)),
        ({"$": 8080, "@enabled": "True"}, {"$": 8443, "@enabled": "TRUE"}, (8080, 8443)),
        ({"$": 8080}, {"$": 443}, (8080, 0)),
        ({"$": 8080, "@enabled": None}, {"$": 443, "@enabled": None}, (8080, 0)),
        ({"$": 8080, "@enabled": "perhaps"}, ..., (0, 0)),
    ],
)
def test_a_port_that_is_disabled_is_nobodys(plain: Any, secure: Any, ports: tuple[int, int]) -> None:
    instance = one(port=plain, securePort=secure)
    assert (instance.port, instance.secure_port) == ports
    assert instance.ports == tuple(port for port in ports if port)


UID, PLAIN_UID = "3F1b2c4d-0a9e-4c57-b3aa-5d6f7e8091a2", "3f1b2c4d0a9e4c57b3aa5d6f7e8091a2"


@pytest.mark.parametrize(
    ("metadata", "uid"),
    [
        (..., ""),
        (None, ""),
        ([], ""),
        ("poduid", ""),
        ({}, ""),
        ({"@class": "java.util.Collections$EmptyMap"}, ""),
        ({"@class": "java.util.Collections$EmptyMap", "poduid": UID}, PLAIN_UID),
        ({"podUid": UID, "management.port": "8080"}, PLAIN_UID),
        ({"POD_UID": UID.upper()}, PLAIN_UID),
        ({"pod.uid": UID.replace("-", "_")}, PLAIN_UID),
        ({"pod-uid": PLAIN_UID}, PLAIN_UID),
        ({"podUid": UID, "pod-uid": PLAIN_UID}, PLAIN_UID),
        ({"podUid": UID, "pod-uid": "another"}, CONTRADICTORY_POD_UID),
        ({"podUid": {"nested": UID}}, ""),
        ({"pod": {"uid": UID}}, ""),
        ({"poduid": None}, ""),
        ({"poduid": 7}, ""),
        ({"poduid": ""}, ""),
        ({"poduid": "---"}, ""),
        ({"poduid": "${POD_UID}"}, ""),
        ({"poduid": "x" * 128}, "x" * 128),
        ({"poduid": "x" * 129}, ""),
        ({"poduids": UID, "apoduid": UID}, ""),
    ],
    ids=str,
)
def test_the_pods_uid_is_read_from_metadata_however_it_is_written(metadata: Any, uid: str) -> None:
    assert one(metadata=metadata).pod_uid == uid


@pytest.mark.parametrize("stamp", [REGISTERED, str(REGISTERED)])
def test_the_clients_own_time_is_read_as_a_number_or_a_text(stamp: Any) -> None:
    assert one(lastDirtyTimestamp=stamp).dirty_at == datetime.fromtimestamp(REGISTERED / 1000, UTC)
    assert one(lastDirtyTimestamp="soon").dirty_at is None


def test_a_registration_is_dated_by_our_clock_and_a_renewal_by_the_nodes() -> None:
    ahead = timedelta(seconds=90)
    body = json.dumps({"instance": registration(lastDirtyTimestamp=REGISTERED)}).encode()
    instance = decode_instance(body, ahead)
    assert instance.clock_ahead == ahead
    assert instance.registered_at == datetime.fromtimestamp(REGISTERED / 1000, UTC) - ahead
    assert instance.renewed_at == datetime.fromtimestamp(RENEWED / 1000, UTC)
    assert instance.dirty_at == datetime.fromtimestamp(REGISTERED / 1000, UTC)


@pytest.mark.parametrize("applications", [{}, {"versions__delta": "1", "apps__hashcode": ""}, {"applicatio": []}, []])
def test_a_list_without_its_applications_is_no_empty_registry(applications: Any) -> None:
    with pytest.raises(NonsenseError):
        read_all(json.dumps({"applications": applications}).encode())


@pytest.mark.parametrize("number", [-1, 0, 65_536, 99_999, "-1"])
def test_a_number_that_is_no_port_is_nobodys(number: Any) -> None:
    assert one(port={"$": number, "@enabled": "true"}).ports == ()


@pytest.mark.parametrize("text", ["[FD00:10:0::7]", " fd00:10::7", "[fd00:10::7]:8080", "fd00:10::7%eth0"])
def test_an_address_is_read_however_it_is_written(text: str) -> None:
    assert one(ipAddr=text).ip == "fd00:10::7"


@pytest.mark.parametrize(("seconds", "lease"), [(10, 10), ("300", 300), (0, 90), (-5, 90), (None, 90), (10**9, 90)])
def test_the_lease_is_as_long_as_the_client_says_or_a_stock_one(seconds: Any, lease: int) -> None:
    found = one(leaseInfo={"durationInSecs": seconds, "lastRenewalTimestamp": RENEWED})
    assert found.lease == timedelta(seconds=lease)
