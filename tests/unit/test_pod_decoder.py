"""The API server's bytes, decoded only as far as a drain needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bounds import MAX_REFERENCE_LENGTH, MAX_VALUE_LENGTH
from controller.domain.annotations import (
    AnnotationError,
    PodAnnotations,
    annotated_window,
    read_annotations,
)
from controller.domain.causes import Cause, cause_of
from controller.domain.pods import Owner, Pod
from controller.domain.routing import drain_period
from controller.errors import KubernetesError
from controller.kube.pod_decoder import (
    decode_bookmark,
    decode_causes,
    decode_event,
    decode_failure,
    decode_listed_pod,
    decode_page,
    decode_pod,
)
from controller.messages.codec import encode_item
from tests.unit.building import NOON, a_command, at

DECODERS: list[Callable[[bytes], Any]] = [
    decode_page,
    decode_event,
    decode_pod,
    decode_bookmark,
    decode_failure,
    decode_causes,
]


def an_object(
    *, meta: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    metadata = {
        "name": "orders-0",
        "namespace": "shop",
        "uid": "uid-1",
        "resourceVersion": "42",
        "creationTimestamp": "2025-06-01T11:00:00Z",
        "labels": {"app": "orders"},
        "managedFields": [{"manager": "kubelet"}],
        **(meta or {}),
    }
    containers = [{"name": "main", "ports": [{"containerPort": 8080, "name": "http"}]}, {"name": "sidecar"}]
    status = {"phase": "Running", "podIP": "10.1.0.7", "podIPs": [{"ip": "10.1.0.7"}], **status}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"nodeName": "node-a", "containers": containers, **(spec or {})},
        "status": status,
    }


def pod_of(whole: dict[str, Any]) -> Pod:
    return decode_pod(json.dumps(whole).encode())[0]


def test_a_running_pod_is_read() -> None:
    pod, whole = decode_pod(json.dumps(an_object()).encode())
    assert whole.metadata.resource_version == "42"
    assert (pod.namespace, pod.name, pod.uid, pod.ip, pod.node) == ("shop", "orders-0", "uid-1", "10.1.0.7", "node-a")
    assert not pod.declares_ports, "the sidecar may listen at any"
    assert pod.host_ports == ()
    assert (pod.hostname, pod.ports, pod.phase, pod.app_label) == ("orders-0", (8080,), "Running", "orders")
    assert pod.created_at == NOON - timedelta(hours=1)
    assert cause_of(pod) is None


@pytest.mark.parametrize(
    ("spec", "expected"), [({}, (31_080,)), ({"hostNetwork": True}, ())], ids=["its own", "its node's"]
)
def test_a_host_port_leads_to_a_pod_on_its_own_network(spec: dict[str, Any], expected: tuple[int, ...]) -> None:
    ports = [{"containerPort": 8080, "hostPort": 31_080}, {"containerPort": 8081}, {"hostPort": 99_999}]
    spec = {"containers": [{"name": "main", "ports": ports}], **spec}
    assert pod_of(an_object(spec=spec)).host_ports == expected


def a_reference(**facts: Any) -> dict[str, Any]:
    usual = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-7d9f", "uid": "rs-1", "controller": True}
    return {**usual, **facts}


def test_a_pods_owner_is_its_controller_and_no_other_and_its_pods_share_it() -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u", "blockOwnerDeletion": True}
    references = [other, a_reference(controller=False), a_reference()]
    owned = [pod_of(an_object(meta={"uid": uid, "ownerReferences": references})) for uid in ("uid-1", "uid-2")]
    assert owned[0].owner == Owner(api_version="apps/v1", kind="ReplicaSet", name="orders-7d9f", uid="rs-1")
    assert owned[0].owner is owned[1].owner
    assert pod_of(an_object()).owner is None
    assert pod_of(an_object(meta={"ownerReferences": [other]})).owner is None


@pytest.mark.parametrize("name", ["apiVersion", "kind", "name", "uid"])
@pytest.mark.parametrize("value", ["", "x" * (MAX_REFERENCE_LENGTH + 1), "a\nb", "\x1b[31m"])
def test_an_impossible_owner_is_skipped_and_the_pod_is_read(name: str, value: str) -> None:
    pod = pod_of(an_object(meta={"ownerReferences": [a_reference(**{name: value})]}))
    assert (pod.owner, pod.uid) == (None, "uid-1")


def test_a_pod_with_the_longest_owner_fits_the_wire() -> None:
    longest = "x" * MAX_REFERENCE_LENGTH
    reference = a_reference(apiVersion=longest, kind=longest, name=longest, uid=longest)
    pod = pod_of(an_object(meta={"ownerReferences": [reference]}))
    assert pod.owner is not None
    assert encode_item(a_command(pod))


def test_a_status_names_its_causes() -> None:
    body = {"kind": "Status", "code": 403, "details": {"causes": [{"reason": "NamespaceTerminating", "field": "x"}]}}
    assert decode_causes(json.dumps(body).encode()) == ("NamespaceTerminating",)
    assert decode_causes(b'{"kind":"Status","details":{"name":"x"}}') == ()
    assert decode_causes(b'{"kind":"Status"}') == ()


def test_a_terminating_pod_has_its_deadline_and_grace() -> None:
    meta = {"deletionTimestamp": "2025-06-01T12:00:30Z", "deletionGracePeriodSeconds": 30}
    pod = pod_of(an_object(meta=meta))
    assert (pod.deletion_at, pod.grace_seconds) == (NOON + timedelta(seconds=30), 30)
    assert cause_of(pod) is Cause.terminating


def test_an_evicted_pod_without_statuses_ended_when_it_became_unready() -> None:
    ended = {"type": "Ready", "status": "False", "lastTransitionTime": "2025-06-01T12:00:00Z"}
    pod = pod_of(an_object(phase="Failed", reason="Evicted", conditions=[ended]))
    assert pod.finished_at == NOON
    assert cause_of(pod) is Cause.failed


@pytest.mark.parametrize("phase", ["Failed", "Running"])
@pytest.mark.parametrize(
    "statuses",
    [
        [{"state": {"running": {}}}],
        [{"state": {"terminated": {"finishedAt": "2025-06-01T11:00:00Z"}}}, {"state": {"running": {}}}],
        [],
    ],
)
def test_a_lost_nodes_pod_has_not_ended_when_its_node_fell_silent(phase: str, statuses: list[dict[str, Any]]) -> None:
    conditions = [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2025-06-01T12:00:00Z"},
        {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"},
    ]
    pod = pod_of(an_object(phase=phase, conditions=conditions, containerStatuses=statuses))
    assert (pod.finished_at, pod.unready_at) == (None, NOON)
    cause = cause_of(pod)
    assert cause is not None
    assert drain_period(pod, cause, at(300)) == (at(300), at(300)), "that Kubernetes waited is not ours"


def test_a_completed_pod_ended_with_its_last_container() -> None:
    ends = ["2025-06-01T11:59:00Z", "2025-06-01T12:00:00Z"]
    statuses = [{"state": {"terminated": {"exitCode": 0, "finishedAt": end}}} for end in ends]
    assert pod_of(an_object(phase="Succeeded", containerStatuses=statuses)).finished_at == NOON


def test_a_running_pod_with_one_ended_container_has_not_ended() -> None:
    statuses = [{"state": {"terminated": {"finishedAt": "2025-06-01T12:00:00Z"}}}, {"state": {"running": {}}}]
    assert pod_of(an_object(containerStatuses=statuses)).finished_at is None


@pytest.mark.parametrize(
    ("status", "reason", "disruption"),
    [("True", "DeletionByTaintManager", "DeletionByTaintManager"), ("False", "DeletionByTaintManager", "")],
)
def test_a_disruption_counts_only_when_it_is_true(status: str, reason: str, disruption: str) -> None:
    condition = {"type": "DisruptionTarget", "status": status, "reason": reason}
    assert pod_of(an_object(conditions=[{"type": "Ready", "status": "True"}, condition])).disruption == disruption


def test_a_pod_with_a_host_name_of_its_own_goes_by_that() -> None:
    pod = pod_of(an_object(spec={"hostname": "web-0", "subdomain": "web", "hostNetwork": False}))
    assert (pod.hostname, pod.subdomain, pod.host_network) == ("web-0", "web", False)


def test_only_our_own_annotations_are_kept() -> None:
    notes = {
        "eureka.drain/app": "orders",
        "eureka.drain/enabled": "true",
        "eureka.drain/unknown": "x",
        "kubectl.kubernetes.io/last-applied-configuration": "{}" * 1000,
        "app": "other",
    }
    assert pod_of(an_object(meta={"annotations": notes})).annotations == {"app": "orders", "enabled": "true"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("20s", 20), (" 1.5m ", 90), ("off", None), ("forever", None), ("2h", None), ("", None), ("x" * 200_000, None)],
)
def test_a_window_is_read_where_it_can_be_followed_and_stops_no_drain(value: str, seconds: int | None) -> None:
    notes = {"eureka.drain/window": value, "window.eureka.drain/added": value}
    pod = pod_of(an_object(meta={"annotations": notes}))
    assert read_annotations(pod) == PodAnnotations()
    assert annotated_window(pod) == (None if seconds is None else timedelta(seconds=seconds))
    assert len(pod.annotations["window"]) <= MAX_VALUE_LENGTH + 1


def test_a_huge_annotation_is_cut_and_yet_refused() -> None:
    pod = pod_of(an_object(meta={"annotations": {"eureka.drain/instance-id": "x" * 200_000}}))
    assert len(pod.annotations["instance-id"]) <= MAX_VALUE_LENGTH + 1
    with pytest.raises(AnnotationError):
        read_annotations(pod)


@pytest.mark.parametrize(
    ("labels", "label"),
    [({"app.kubernetes.io/name": "a", "app": "b"}, "a"), ({"app": "b"}, "b"), ({"x": "y"}, ""), (None, "")],
)
def test_the_recommended_label_goes_before_the_old_one(labels: dict[str, str] | None, label: str) -> None:
    assert pod_of(an_object(meta={"labels": labels})).app_label == label


def test_a_pending_pod_may_lack_nearly_everything() -> None:
    pod = pod_of({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {}, "status": {}})
    assert (pod.ip, pod.ports, pod.hostname, pod.annotations) == ("", (), "p", {})


def test_a_page_has_its_pods_its_version_and_where_it_goes_on() -> None:
    page = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "more"}, "items": [an_object()]}
    items, version, more = decode_page(json.dumps(page).encode())
    assert ([decode_listed_pod(bytes(one)).uid for one in items], version, more) == (["uid-1"], "7", "more")


@pytest.mark.parametrize("items", [None, []])
def test_an_empty_list_is_a_list(items: Any) -> None:
    page = {"metadata": {"resourceVersion": "7"}, "items": items}
    assert decode_page(json.dumps(page).encode()) == ([], "7", "")


def test_a_bookmark_has_its_version() -> None:
    line = {
        "type": "BOOKMARK",
        "object": {"kind": "Pod", "metadata": {"resourceVersion": "99", "creationTimestamp": None}},
    }
    kind, body = decode_event(json.dumps(line).encode())
    assert kind == "BOOKMARK"
    assert decode_bookmark(body) == "99"


def test_an_expired_version_is_recognised_by_its_code() -> None:
    status = {
        "kind": "Status",
        "status": "Failure",
        "message": "too old resource version: 1 (2)",
        "reason": "Expired",
        "code": 410,
    }
    kind, body = decode_event(json.dumps({"type": "ERROR", "object": status}).encode())
    assert kind == "ERROR"
    code, text = decode_failure(body)
    assert code == 410
    assert "too old resource version" in text


def test_a_page_or_a_pod_without_its_metadata_is_refused() -> None:
    for decode in (decode_page, decode_pod, decode_bookmark):
        with pytest.raises(KubernetesError):
            decode(b'{"metadata":null,"items":[]}')


STATUS = {"kind": "Status", "metadata": {}, "status": "Failure", "code": 500, "message": "etcdserver: leader changed"}


def test_a_failure_is_never_taken_for_an_empty_list() -> None:
    with pytest.raises(KubernetesError):
        decode_page(json.dumps(STATUS).encode())


@pytest.mark.parametrize(
    "whole", [STATUS, {"metadata": {}}, {"metadata": {"name": "x"}}], ids=["status", "empty", "no uid"]
)
def test_what_has_no_uid_is_never_taken_for_a_pod(whole: dict[str, Any]) -> None:
    with pytest.raises(KubernetesError):
        decode_pod(json.dumps(whole).encode())


@pytest.mark.parametrize("name", ["creationTimestamp", "deletionTimestamp"])
@pytest.mark.parametrize("time", ["2025-06-01T12:00:00", "yesterday", 5])
def test_a_time_without_a_zone_is_refused_before_it_is_compared_with_one(name: str, time: Any) -> None:
    with pytest.raises(KubernetesError):
        pod_of(an_object(meta={name: time}))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>502</html>", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"metadata":' * 20_000],
    ids=lambda body: repr(body[:20]),
)
def test_garbage_is_a_kubernetes_error_with_a_short_reason(body: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(KubernetesError) as caught:
            decode(body)
        assert len(str(caught.value)) < 250


@given(st.binary(max_size=100) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_answer_or_a_kubernetes_error(body: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(KubernetesError):
            decode(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
)


@given(
    st.sampled_from(["metadata", "spec", "status"]),
    st.sampled_from(["ports", "containers", "annotations", "phase", "podIP", "conditions"]),
    values,
)
def test_a_pod_with_any_field_replaced_is_read_or_refused(part: str, name: str, value: Any) -> None:
    whole = an_object()
    whole[part] = {**whole[part], name: value}
    try:
        pod = pod_of(whole)
    except KubernetesError:
        return
    assert pod.uid == "uid-1"


def test_a_pod_has_every_address_of_its_own_and_of_its_node() -> None:
    status: dict[str, Any] = {
        "podIP": "fd00:10:0:0::7",
        "podIPs": [{"ip": "fd00:10::7"}, {"ip": "10.1.0.7"}],
        "hostIP": "10.0.0.1",
        "hostIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00:0::1"}],
    }
    pod = pod_of(an_object(**status))
    assert (pod.ip, pod.ips, pod.host_ips) == ("fd00:10::7", ("fd00:10::7", "10.1.0.7"), ("10.0.0.1", "fd00::1"))
    assert pod_of(an_object(hostIP="10.0.0.1")).host_ips == ("10.0.0.1",)
    assert pod_of(an_object(podIP="", podIPs=None)).addresses == ()
    many = [{"ip": f"10.1.0.{number}"} for number in range(20)]
    assert encode_item(a_command(pod_of(an_object(podIPs=many, hostIPs=many))))


def test_a_static_pods_object_is_told_from_others() -> None:
    assert pod_of(an_object(meta={"annotations": {"kubernetes.io/config.mirror": "a-hash"}})).mirror
    assert not pod_of(an_object()).mirror


RUNNING = {"running": {"startedAt": "2025-06-01T11:00:00Z"}}
WAITING = {"waiting": {"reason": "CrashLoopBackOff"}}
GOING = {"deletionTimestamp": "2025-06-01T12:00:30Z", "deletionGracePeriodSeconds": 30}
UNTIMED = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": None}}


def ended(second: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": 0, "finishedAt": f"2025-06-01T12:00:{second:02}Z"}}


def in_states(main: dict[str, Any], sidecar: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """A pod whose containers are in these states."""
    statuses = [{"name": "main", "state": main}]
    statuses += [{"name": "sidecar", "state": sidecar}] if sidecar else []
    return an_object(containerStatuses=statuses, **more)


@pytest.mark.parametrize(
    ("whole", "second"),
    [
        (in_states(ended(3), ended(5), meta=GOING), 5),
        (in_states(ended(3), UNTIMED, meta=GOING), 3),
        (in_states(ended(3), RUNNING, meta=GOING), None),
        (in_states(ended(3), WAITING, meta=GOING), None),
        (in_states(ended(3), None, meta=GOING), None),
        (in_states(UNTIMED, UNTIMED, meta=GOING), None),
        (in_states(ended(3), ended(5)), None),
        (in_states(ended(3), ended(5), phase="Failed"), 5),
        (in_states(ended(3), RUNNING, phase="Failed"), None),
        (in_states(ended(3), ended(5), meta={"annotations": {"kubernetes.io/config.mirror": "x"}}), 5),
    ],
)
def test_a_pod_has_ended_when_each_of_its_containers_has(whole: dict[str, Any], second: int | None) -> None:
    assert pod_of(whole).ended_at == (None if second is None else NOON + timedelta(seconds=second))


def test_containers_that_ended_before_the_deletion_may_have_been_restarted() -> None:
    later = {"deletionTimestamp": "2025-06-01T12:00:40Z", "deletionGracePeriodSeconds": 30}
    assert pod_of(in_states(ended(3), ended(5), meta=later)).ended_at is None
    assert pod_of(in_states(ended(3), ended(5), meta=later, phase="Succeeded")).ended_at is not None


def test_what_the_control_plane_says_of_a_lost_nodes_pod_is_no_proof() -> None:
    gone = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    assert pod_of(in_states(ended(3), ended(5), phase="Failed", conditions=[gone])).ended_at is None


def test_a_pod_has_not_ended_before_its_native_sidecars() -> None:
    spec = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "once"}]}
    done = {"name": "once", "state": ended(1)}
    whole = in_states(ended(3), ended(5), meta=GOING, spec=spec, initContainerStatuses=[done])
    for state, second in ((RUNNING, None), (ended(9), 9)):
        whole["status"]["initContainerStatuses"] = [done, {"name": "proxy", "state": state}]
        assert pod_of(whole).ended_at == (None if second is None else NOON + timedelta(seconds=second))


@pytest.mark.parametrize(
    ("statuses", "started"),
    [
        (None, False),
        ([{"state": {"waiting": {"reason": "ContainerCreating"}}}], False),
        ([{"state": RUNNING}], True),
        ([{"state": ended(1)}], True),
        ([{"state": WAITING, "lastState": ended(1)}], True),
    ],
)
def test_a_pod_has_started_when_one_of_its_containers_has_run(statuses: Any, started: bool) -> None:
    assert pod_of(an_object(containerStatuses=statuses)).started is started


def test_a_version_of_any_length_is_no_version() -> None:
    pod_of(an_object(meta={"resourceVersion": "4" * 256}))
    with pytest.raises(KubernetesError, match="not a pod"):
        pod_of(an_object(meta={"resourceVersion": "4" * 257}))
