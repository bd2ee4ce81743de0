"""kubectl against the real API server, and what it prints beside its answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.manifests.rendering import Object
from tests.stack.cluster import Cluster


async def kubectl(kubeconfig: Path, *words: str, reads: Object | None = None) -> tuple[int, str, str]:
    """Run it to its end: its status, and what it wrote to stdout and to stderr."""
    child = await asyncio.create_subprocess_exec(
        "kubectl",
        *words,
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(json.dumps(reads).encode() if reads else b"")
    return child.returncode or 0, out.decode(), err.decode()


async def answer(kubeconfig: Path, thing: Object) -> Any:
    """What the API server makes of an object that is created. Unchecked: to check it, kubectl asks for more rights."""
    status, out, err = await kubectl(kubeconfig, "create", "--validate=false", "-f", "-", "-o", "json", reads=thing)
    assert status == 0, err
    return json.loads(out)


async def may(
    cluster: Cluster,
    verb: str,
    resource: str,
    *,
    group: str = "",
    user: str = "somebody",
    groups: Sequence[str] = (),
    namespace: str = "",
) -> bool:
    """Whether the API server would let somebody do something."""
    attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": list(groups), "resourceAttributes": attributes},
    }
    where = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool((await cluster.client.call("POST", where, body=review))["status"]["allowed"])
