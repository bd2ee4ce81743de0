"""The API server's bytes, decoded as far as it decides how long pods serve."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.bounds import MAX_CONTAINERS, MAX_HOOK_BYTES, MAX_HOOK_WORDS
from controller.domain.shutdown.findings import ShutdownSurvey, WindowCoverage, by_workload, survey_workloads
from controller.domain.shutdown.hooks import read_hook
from controller.domain.shutdown.pod_details import (
    Container,
    ContainerEnd,
    Exec,
    HttpGet,
    PodDetails,
    Sleep,
    TcpSocket,
    TooLong,
)
from controller.domain.shutdown.workloads import Template, Workload
from controller.errors import KubernetesError
from controller.kube.client import KubeForbiddenError, NotFoundError
from controller.kube.listing import list_details
from controller.kube.owner_revisions import read_revisions
from controller.kube.pod_decoder import decode_page, decode_pod
from controller.kube.pod_details_decoder import decode_details, details_of
from controller.ops.answers import json_text
from controller.ops.shutdown_patches import patches_text
from controller.ops.shutdown_tables import finding_answer, survey_text
from controller.settings import WatchSettings
from tests.unit.building import at
from tests.unit.fuzz_drawn import Draw
from tests.unit.test_pod_decoder import an_object
from tests.unit.windows import ROUTING, USUAL, WINDOWS, pod_details


def page(*pods: dict[str, Any], more: str = "") -> bytes:
    return json.dumps({"metadata": {"resourceVersion": "7", "continue": more}, "items": list(pods)}).encode()


def details_from(whole: dict[str, Any]) -> PodDetails:
    return decode_details(json.dumps(whole).encode())


def details_on(body: bytes) -> list[PodDetails]:
    return [decode_details(bytes(one)) for one in decode_page(body).items]


def a_container(hook: Any = None, **facts: Any) -> dict[str, Any]:
    lifecycle = {"lifecycle": {"preStop": hook}} if hook is not None else {}
    return {"name": "main", "image": "x", "ports": [{"containerPort": 8080}], **lifecycle, **facts}


def spec_of(*containers: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"containers": list(containers), "terminationGracePeriodSeconds": 60, **facts}


HOOKS: list[tuple[Any, Any]] = [
    (None, None),
    ({}, None),
    ({"exec": {"command": ["sleep", "30"]}}, Exec(("sleep", "30"))),
    ({"exec": {}}, Exec(())),
    ({"exec": {"command": []}}, Exec(())),
    ({"httpGet": {"path": "/stop", "port": "http", "scheme": "HTTP"}}, HttpGet("/stop")),
    ({"httpGet": {"port": 8080}}, HttpGet("/")),
    ({"tcpSocket": {"port": 8080}}, TcpSocket()),
    ({"sleep": {"seconds": 95}}, Sleep(95)),
    ({"sleep": {}}, Sleep(0)),
    ({"exec": None, "sleep": {"seconds": 95}}, Sleep(95)),
    ({"unheardOf": {"x": 1}}, None),
]


@pytest.mark.parametrize(("handler", "hook"), HOOKS, ids=str)
def test_each_kind_of_hook_is_read(handler: Any, hook: Any) -> None:
    (container,) = details_from(an_object(spec=spec_of(a_container(handler)))).containers
    assert container == Container(name="main", hook=hook, ports=(8080,))


def test_a_post_start_hook_is_none_of_our_business() -> None:
    found = details_from(an_object(spec=spec_of(a_container(lifecycle={"postStart": {"sleep": {"seconds": 5}}}))))
    assert found.containers[0].hook is None


def test_native_sidecars_are_kept_and_other_init_containers_are_not() -> None:
    inits = [a_container(name="migrate"), a_container(name="proxy", restartPolicy="Always"), a_container(name="x")]
    found = details_from(an_object(spec=spec_of(a_container(), initContainers=inits)))
    assert [(one.name, one.native_sidecar) for one in found.containers] == [("main", False), ("proxy", True)]


@pytest.mark.parametrize(
    ("spec", "grace"),
    [({}, 30), ({"terminationGracePeriodSeconds": 0}, 0), ({"terminationGracePeriodSeconds": 90}, 90)],
)
def test_the_grace_period_is_30_s_where_nobody_wrote_one(spec: dict[str, int], grace: int) -> None:
    assert details_from(an_object(spec=spec)).grace_seconds == grace


@pytest.mark.parametrize(
    ("labels", "template", "generation", "rollout"),
    [
        ({"pod-template-hash": "7cd9"}, "7cd9", 0, False),
        ({"rollouts-pod-template-hash": "5f6"}, "5f6", 0, True),
        ({"controller-revision-hash": "orders-6f9"}, "orders-6f9", 0, False),
        ({"controller-revision-hash": "6f9", "pod-template-generation": "12"}, "6f9", 12, False),
        ({"pod-template-generation": "many"}, "", 0, False),
        ({"pod-template-generation": "9" * 5_000}, "", 0, False),
        ({"pod-template-generation": "٣"}, "", 0, False),
        (None, "", 0, False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_pods_template_is_read_from_its_labels(labels: Any, template: str, generation: int, rollout: bool) -> None:
    found = details_from(an_object(meta={"labels": labels}))
    assert (found.template, found.generation, found.rollout) == (template, generation, rollout)


def test_a_mirror_of_a_static_pod_is_known_by_its_annotation() -> None:
    assert details_from(an_object(meta={"annotations": {"kubernetes.io/config.mirror": "x"}})).mirror
    assert not details_from(an_object()).mirror


def test_the_pods_of_one_template_share_their_containers() -> None:
    spec = spec_of(a_container({"sleep": {"seconds": 95}}))
    pods = details_on(page(an_object(spec=spec), an_object(meta={"uid": "2"}, spec=spec), more="next"))
    assert pods[0].containers is pods[1].containers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"<html>",
        b'{"items":[]}',
        page(an_object(spec=spec_of({"name": 5}))),
        page(an_object(spec=spec_of(a_container({"sleep": {"seconds": "95"}})))),
        page(an_object(spec=spec_of(a_container({"exec": {"command": "sleep 30"}})))),
        page(an_object(spec={"terminationGracePeriodSeconds": "30"})),
        page({"spec": {}}),
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_is_not_a_list_of_pods_is_refused(body: bytes) -> None:
    with pytest.raises(KubernetesError):
        details_on(body)


class Api:
    """In place of the connection: answers by path, and notes what was asked for."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def get(self, path: str, query: dict[str, str], *, most: int = 0) -> bytes:
        self.asked.append((path, dict(query)))
        if path not in self.answers:
            raise NotFoundError("HTTP 404")
        answer = self.answers[path].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def pod_in(namespace: str) -> dict[str, Any]:
    return an_object(meta={"namespace": namespace, "uid": f"uid-{namespace}"})


async def listed(api: Api, **watch: Any) -> list[str]:
    found = await list_details(api, WatchSettings.model_validate(watch))  # type: ignore[arg-type]
    return [details.pod.namespace for details, _ in found]


async def test_every_page_is_read_and_excluded_namespaces_are_skipped() -> None:
    api = Api({"/api/v1/pods": [page(pod_in("shop"), pod_in("kube-system"), more="next"), page(pod_in("stock"))]})
    assert await listed(api, label_selector="team=a") == ["shop", "stock"]
    assert [query.get("continue") for _, query in api.asked] == [None, "next"]
    assert all(query["labelSelector"] == "team=a" for _, query in api.asked)


async def test_only_the_watched_namespaces_are_listed() -> None:
    api = Api({f"/api/v1/namespaces/{name}/pods": [page(pod_in(name))] for name in ("shop", "stock")})
    assert await listed(api, namespaces=["shop", "stock", "kube-system"]) == ["shop", "stock"]
    assert len(api.asked) == 2


@pytest.mark.parametrize("trouble", [KubeForbiddenError("HTTP 403"), b"{"], ids=str)
async def test_a_list_that_is_not_complete_is_not_believed(trouble: Any) -> None:
    with pytest.raises(KubernetesError):
        await listed(Api({"/api/v1/pods": [page(pod_in("shop"), more="next"), trouble]}))


def replica_set(revision: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {"deployment.kubernetes.io/revision": revision}}}


async def revisions(api: Api, kind: str) -> dict[str, int]:
    templates = [Template(name, [pod_details(template=name)]) for name in ("old", "new")]
    return await read_revisions(api, Workload("shop", kind, "orders"), templates)  # type: ignore[arg-type]


APPS = "/apis/apps/v1/namespaces/shop"


async def test_a_deployments_replica_sets_know_which_template_is_newest() -> None:
    answers = {
        f"{APPS}/replicasets/orders-old": [replica_set("9")],
        f"{APPS}/replicasets/orders-new": [replica_set("10")],
    }
    assert await revisions(Api(answers), "Deployment") == {"old": 9, "new": 10}


async def test_a_stateful_set_knows_which_template_is_newest() -> None:
    answer = {"metadata": {}, "status": {"updateRevision": "orders-new", "currentRevision": "orders-old"}}
    assert await revisions(Api({f"{APPS}/statefulsets/orders": [answer]}), "StatefulSet") == {"orders-new": 1}


async def test_other_kinds_are_not_asked() -> None:
    api = Api({})
    assert await revisions(api, "DaemonSet") == {}
    assert api.asked == []


async def test_an_owner_that_is_gone_or_nonsense_is_an_error_or_no_revision() -> None:
    with pytest.raises(KubernetesError):
        await revisions(Api({}), "Deployment")
    with pytest.raises(KubernetesError):
        await revisions(Api({f"{APPS}/statefulsets/orders": [b"[]"]}), "StatefulSet")
    answers = {f"{APPS}/replicasets/orders-{name}": [replica_set("newest")] for name in ("old", "new")}
    assert await revisions(Api(answers), "Deployment") == {"old": 0, "new": 0}


def a_status(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {"terminated": {"finishedAt": "2025-06-01T11:00:00Z"}}}


def test_the_ends_of_containers_are_read_unless_they_run_again() -> None:
    ended = {"finishedAt": "2025-06-01T12:00:06Z", "exitCode": 143, "reason": "Error"}
    statuses = [
        a_status("main", terminated=ended),
        a_status("again", running={"startedAt": "2025-06-01T11:00:01Z"}),
        a_status("crashing", waiting={"reason": "CrashLoopBackOff"}),
        a_status("undated", terminated={"exitCode": 0}),
        {"name": "new"},
    ]
    sidecars = [a_status("envoy", terminated={**ended, "finishedAt": "2025-06-01T12:00:08Z", "exitCode": 0})]
    body = json.dumps(an_object(containerStatuses=statuses, initContainerStatuses=sidecars)).encode()
    details = details_of(*decode_pod(body))
    assert details is not None
    assert details.ends == (
        ContainerEnd(name="main", finished_at=at(6), exit_code=143, reason="Error"),
        ContainerEnd(name="envoy", finished_at=at(8), exit_code=0, reason="Error"),
    )


def test_a_pod_without_statuses_has_no_ends() -> None:
    for statuses in ({}, {"containerStatuses": None, "initContainerStatuses": None}):
        body = json.dumps(an_object(**statuses)).encode()
        details = details_of(*decode_pod(body))
        assert details is not None
        assert details.ends == ()


NAMES = st.one_of(
    st.sampled_from(["main", "istio-proxy", "orders", "a\nb", "--x", "'; rm -rf / #", "\x1b[2J"]), st.text(max_size=20)
)
SECONDS = st.one_of(st.sampled_from([0, 1, 30, 95, 2**31, 2**63 - 1, -1, -(2**63)]), st.integers(-(2**63), 2**63 - 1))
COMMANDS = st.one_of(
    st.sampled_from([["sleep", "30"], ["sh", "-c", "sleep 30; curl x"], ["/stop.sh"], ["sleep 30"], []]),
    st.lists(st.text(max_size=30), max_size=4),
)
HANDLERS = st.one_of(
    st.none(),
    st.builds(lambda command: {"exec": {"command": command}}, COMMANDS),
    st.builds(lambda path: {"httpGet": {"path": path, "port": 80}}, st.text(max_size=30)),
    st.builds(lambda seconds: {"sleep": {"seconds": seconds}}, SECONDS),
    st.just({"tcpSocket": {"port": "http"}}),
)
CONTAINERS = st.builds(
    lambda name, handler, port, restart: {
        "name": name,
        "lifecycle": {"preStop": handler},
        "ports": [{"containerPort": port}],
        "restartPolicy": restart,
    },
    NAMES,
    HANDLERS,
    st.integers(-1, 70_000),
    st.sampled_from([None, "Always", "Never"]),
)
OWNERS = st.builds(
    lambda kind, name: [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}],
    st.one_of(
        st.sampled_from(["ReplicaSet", "StatefulSet", "DaemonSet", "Job", "Node", "Rollout"]), st.text(max_size=9)
    ),
    st.one_of(st.sampled_from(["orders-7cd9", "backup-29134567", "orders"]), st.text(max_size=20)),
)
PODS = st.builds(
    lambda names, labels, notes, owners, containers, inits, grace, phase, host: an_object(
        meta={
            "namespace": names[0] or "n",
            "name": names[1] or "p",
            "uid": names[2] or "u",
            "labels": labels,
            "annotations": {f"eureka.drain/{name}": value for name, value in notes.items()},
            "ownerReferences": owners,
        },
        spec={
            "containers": containers,
            "initContainers": inits,
            "terminationGracePeriodSeconds": grace,
            "hostNetwork": host,
        },
        phase=phase,
    ),
    st.tuples(NAMES, NAMES, st.text(max_size=3)),
    st.dictionaries(
        st.sampled_from(["pod-template-hash", "controller-revision-hash", "pod-template-generation", "app"]),
        st.one_of(st.sampled_from(["7cd9", "7"]), st.text(max_size=9)),
    ),
    st.dictionaries(st.sampled_from(["enabled", "app", "port", "instance-id"]), st.text(max_size=9)),
    st.one_of(st.none(), OWNERS),
    st.lists(CONTAINERS, max_size=4),
    st.one_of(st.none(), st.lists(CONTAINERS, max_size=2)),
    st.one_of(st.none(), SECONDS),
    st.sampled_from(["Running", "Pending", "Succeeded", "Failed", "Unknown", ""]),
    st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(PODS, max_size=4), st.sampled_from([None, 40, 80, 140]))
def test_each_workload_of_any_pods_gets_a_finding_that_can_be_printed(
    pods: list[dict[str, Any]], width: int | None
) -> None:
    found = details_on(page(*pods))
    check_survey(found, width)


def check_survey(pods: list[PodDetails], width: int | None) -> None:
    workloads = by_workload(pods)
    found = survey_workloads(workloads, WINDOWS, {}, ROUTING)
    assert {one.workload for one in found} == set(workloads)
    for one in found:
        judged = one.verdict is not WindowCoverage.left_out
        assert judged is (one.window is not None)
        assert (one.short_by_seconds > 0) is (one.verdict is WindowCoverage.too_short)
        assert (one.fix is not None) is (one.verdict in (WindowCoverage.too_short, WindowCoverage.not_judged))
        assert one.serves_seconds is None or 0 <= one.serves_seconds <= max(one.grace_seconds or 0, 1)
        if one.fix is not None:
            assert (one.fix.patch is None) is bool(one.fix.by_hand)
            assert one.fix.grace_seconds >= one.fix.sleep_seconds + 30
        assert json.loads(json_text(finding_answer(one)))["why"] == one.why
    looked = ShutdownSurvey(findings=tuple(found), usual=USUAL)
    for text in (survey_text(looked, width=width), patches_text(looked)):
        assert all(line.isprintable() for line in text.split("\n"))
    for line in patches_text(looked).splitlines():
        assert line.startswith(("# ", "kubectl patch "))


def test_a_thousand_spoilt_pods_are_evaluated_or_refused() -> None:
    whole = json.dumps({"metadata": {"resourceVersion": "7"}, "items": [RICH, an_object(meta={"uid": "2"})]})
    judged = 0
    for number in range(1_000):
        draw = Draw(f"details {number}")
        try:
            pods = details_on(draw.document(whole))
        except KubernetesError:
            continue
        check_survey(pods, draw.choice((None, 80)))
        judged += 1
    assert judged > 100


RICH = an_object(
    meta={
        "labels": {"pod-template-hash": "7cd9", "app": "orders"},
        "annotations": {"eureka.drain/port": "8080"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-7cd9", "uid": "u", "controller": True}
        ],
    },
    spec=spec_of(
        a_container({"exec": {"command": ["sh", "-c", "curl -X PUT x/status?value=OUT_OF_SERVICE && sleep 30"]}}),
        a_container({"httpGet": {"path": "/stop", "port": 8080}}, name="helper"),
        initContainers=[a_container({"sleep": {"seconds": 5}}, name="proxy", restartPolicy="Always")],
    ),
)


def test_a_pod_whose_hooks_cannot_be_read_is_drained_all_the_same() -> None:
    hook = {"exec": {"command": "sleep 30"}}
    pod, whole = decode_pod(json.dumps(an_object(spec=spec_of(a_container(hook)))).encode())
    assert pod.uid == "uid-1"
    assert details_of(pod, whole) is None


def test_hooks_are_kept_up_to_a_bound_for_each_pod() -> None:
    hooks = [{"exec": {"command": ["sh", "-c", "x" * 1_800]}}, {"httpGet": {"path": "/" + "x" * 1_800}}]
    many = [a_container(hooks[number % 2], name=f"c{number}") for number in range(150)]
    many[5] = a_container({"sleep": {"seconds": 5}}, name="c5")
    containers = details_from(an_object(spec={"containers": many})).containers
    assert [type(one.hook) for one in containers[:6]] == [Exec, HttpGet, TooLong, TooLong, TooLong, Sleep]
    assert len(containers) == MAX_CONTAINERS
    assert read_hook(TooLong()).unknown == "is too long"


@pytest.mark.parametrize(
    "hook",
    [
        {"exec": {"command": [""] * 700_000}},
        {"exec": {"command": ["sh"] * (MAX_HOOK_WORDS + 1)}},
        {"exec": {"command": ["sh", "-c", "x" * MAX_HOOK_BYTES]}},
        {"httpGet": {"path": "/", "httpHeaders": [{}] * 700_000}},
    ],
    ids=["empty strings", "many words", "a long text", "headers"],
)
def test_a_hook_of_any_size_costs_its_bytes_once_and_nothing_is_kept(hook: Any) -> None:
    body = json.dumps(an_object(spec=spec_of(a_container(hook)))).encode()
    tracemalloc.start()
    details = details_of(*decode_pod(body))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert details is not None
    assert details.containers[0].hook == TooLong()
    assert peak < 100_000, "no object for each of its elements"
    assert kept < 20_000
