"""A mutating webhook that adds a sidecar to each pod it is asked about, as a service mesh's does."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.manifests.rendering import Object
from tests.manifests.webhooks import asked_about_pods
from tests.stack.authority import Authority
from tests.stack.cluster import Cluster


@asynccontextmanager
async def adding(cluster: Cluster, namespace: str, sidecar: Object, folder: Path) -> AsyncIterator[list[Object]]:
    """While this is open, pods of the namespace get the sidecar; gives the specs that the webhook has seen."""
    seen: list[Object] = []

    async def review(request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        spec: Object = asked["object"]["spec"]
        seen.append(spec)
        is_there = sidecar["name"] in [one["name"] for one in spec["containers"]]
        patch = [] if is_there else [{"op": "add", "path": "/spec/containers/-", "value": sidecar}]
        answer = {
            "uid": asked["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    authority = Authority()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.write(folder, "127.0.0.1"))
    app = web.Application()
    app.router.add_post("/", review)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    _, port, *_ = runner.addresses[0]
    labels = {"kubernetes.io/metadata.name": namespace}
    try:
        async with asked_about_pods(cluster, namespace, f"127.0.0.1:{port}", authority.pem, labels=labels):
            yield seen
    finally:
        await runner.cleanup()
