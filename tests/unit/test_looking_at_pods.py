"""``doctor --pods`` from the lists to the findings, and what it does where it may not ask for the owners."""

from __future__ import annotations

from typing import Any

import pytest

from controller.app.commands import windows
from controller.domain.shutdown.findings import ShutdownSurvey, WindowCoverage
from controller.errors import KubernetesError
from controller.kube.client import KubeForbiddenError
from controller.ops.shutdown_tables import survey_text
from controller.settings import Settings
from tests.unit.test_pod_decoder import a_reference, an_object
from tests.unit.test_pod_details_decoder import APPS, Api, a_container, page, replica_set, spec_of


class OpenedApi(Api):
    """Of a context manager, as the connection is. It has one namespace, where no answer says otherwise."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__({"/api/v1/namespaces": [page({"metadata": {"name": "shop"}})], **answers})

    async def __aenter__(self) -> OpenedApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def pod_of_template(template: str, hook: Any, created: str) -> dict[str, Any]:
    meta = {
        "uid": f"uid-{template}",
        "name": f"orders-{template}-x",
        "labels": {"pod-template-hash": template},
        "ownerReferences": [a_reference(name=f"orders-{template}")],
        "creationTimestamp": created,
    }
    return an_object(meta=meta, spec=spec_of(a_container(hook), terminationGracePeriodSeconds=125))


OLD = pod_of_template("old", None, "2025-06-01T12:00:00Z")
NEW = pod_of_template("new", {"sleep": {"seconds": 95}}, "2025-06-01T11:00:00Z")
REPLICA_SETS = {
    f"{APPS}/replicasets/orders-old": [replica_set("1")],
    f"{APPS}/replicasets/orders-new": [replica_set("2")],
}


async def looked(monkeypatch: pytest.MonkeyPatch, api: OpenedApi, **settings: Any) -> ShutdownSurvey:
    monkeypatch.setattr(windows, "KubeApi", lambda: api)
    return await windows.survey_pods(Settings.model_validate(settings))


async def test_the_owners_show_which_template_is_newest_though_its_pod_is_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await looked(monkeypatch, OpenedApi({"/api/v1/pods": [page(OLD, NEW)], **REPLICA_SETS}))
    assert [one.verdict for one in found.findings] == [WindowCoverage.enough]
    assert found.doubts == ()


async def test_with_one_template_no_owner_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    api = OpenedApi({"/api/v1/pods": [page(OLD)]})
    found = await looked(monkeypatch, api)
    assert found.of(WindowCoverage.too_short)
    asked = ["/api/v1/pods", "/api/v1/namespaces", "/api/v1/nodes/node-a/proxy/configz"]
    assert [path for path, _ in api.asked] == asked


async def test_what_the_components_lack_is_said_and_a_missing_right_is_too(monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = {"metadata": {"name": "shop", "labels": {"eureka.drain/clients": "enabled"}}}
    answers: dict[str, list[Any]] = {"/api/v1/pods": [page(NEW)], "/api/v1/namespaces": [page(labelled)]}
    found = await looked(monkeypatch, OpenedApi(answers))
    (note,) = found.notes
    assert "1 of its 1 pods have not the caches" in note
    assert note in survey_text(found, width=None)
    answers = {"/api/v1/pods": [page(NEW)], "/api/v1/namespaces": [KubeForbiddenError("HTTP 403: no")]}
    found = await looked(monkeypatch, OpenedApi(answers))
    assert found.notes == ()
    (doubt,) = found.doubts
    assert doubt.endswith("was not looked at: HTTP 403: no")


async def test_forbidden_owners_are_reported_once_and_the_youngest_pod_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {f"{APPS}/replicasets/orders-{name}": [KubeForbiddenError("HTTP 403: no")] for name in ("old", "new")}
    found = await looked(monkeypatch, OpenedApi({"/api/v1/pods": [page(OLD, NEW)], **answers}))
    assert [one.verdict for one in found.findings] == [WindowCoverage.too_short]
    (doubt,) = found.doubts
    assert "shop/orders" in doubt
    assert "HTTP 403" in doubt


async def test_the_windows_of_the_settings_are_what_pods_are_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    api = OpenedApi({"/api/v1/pods": [page(NEW)]})
    found = await looked(monkeypatch, api, window={"server_cache": "31s"})
    (one,) = found.findings
    assert (one.verdict, one.short_by_seconds, found.usual.whole_seconds) == (WindowCoverage.too_short, 1, 96)


async def test_a_list_that_breaks_off_concludes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KubernetesError):
        await looked(monkeypatch, OpenedApi({"/api/v1/pods": [page(OLD, more="next"), KubernetesError("broke off")]}))


async def test_nodes_that_end_pods_at_once_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kubelet = {"/api/v1/nodes/node-a/proxy/configz": [{"kubeletconfig": {"shutdownGracePeriod": "0s"}}]}
    found = await looked(monkeypatch, OpenedApi({"/api/v1/pods": [page(NEW)], **kubelet}))
    (note,) = found.notes
    assert "gives pods without a priority 0s of the 95s" in note
    assert note in survey_text(found, width=None)
