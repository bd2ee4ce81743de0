"""How new a workload's templates are, by what only their owners know: ReplicaSets and StatefulSets."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from controller.domain.shutdown.workloads import Template, Workload
from controller.kube.client import KubeApi
from controller.kube.pod_decoder import decoded
from controller.kube.pod_details_decoder import whole_number

REVISION = "deployment.kubernetes.io/revision"


class _OwnerMetadata(msgspec.Struct):
    annotations: dict[str, str] | None = None


class _OwnerStatus(msgspec.Struct, rename="camel"):
    update_revision: str = ""


class _OwnerObject(msgspec.Struct):
    metadata: _OwnerMetadata
    status: _OwnerStatus = msgspec.field(default_factory=_OwnerStatus)


_owner = msgspec.json.Decoder(_OwnerObject)


async def read_revisions(api: KubeApi, workload: Workload, templates: Iterable[Template]) -> dict[str, int]:
    """Ask a workload's owners how new each template is: the larger, the newer. Other kinds have no such number.

    KubernetesError, ForbiddenError among them, when they cannot be asked.
    """
    path = f"/apis/apps/v1/namespaces/{quote(workload.namespace, safe='')}"
    if workload.kind == "Deployment":
        return {
            one.hash: await _revision(api, f"{path}/replicasets/{quote(one.made_by, safe='')}") for one in templates
        }
    if workload.kind == "StatefulSet":
        body = await api.get(f"{path}/statefulsets/{quote(workload.name, safe='')}", {})
        return {decoded(_owner, body, "a StatefulSet").status.update_revision: 1}
    return {}


async def _revision(api: KubeApi, path: str) -> int:
    owner: _OwnerObject = decoded(_owner, await api.get(path, {}), "a ReplicaSet")
    return whole_number((owner.metadata.annotations or {}).get(REVISION))
