"""Service accounts on a real API server, with the rights that a test gives them and no more."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from tests.stack.cluster import Cluster
from tests.stack.processes import output_of

Object = dict[str, Any]


class Accounts:
    """Service accounts of one test, their tokens, and what they may do in the whole cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._roles: list[str] = []

    async def create(self, name: str, *rules: tuple[str, str, str]) -> None:
        """With a ClusterRole of these rules: verb, group, resource."""
        await self._cluster.client.create("serviceaccounts", {"metadata": {"name": name}}, self._namespace)
        if not rules:
            return
        role = f"{self._namespace}-{name}"
        self._roles.append(role)
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self._namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        body: Object = {
            "metadata": {"name": role},
            "rules": [{"apiGroups": [group], "resources": [what], "verbs": [verb]} for verb, group, what in rules],
        }
        await self._cluster.client.create("clusterroles", body, None)
        binding = {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}
        await self._cluster.client.create("clusterrolebindings", binding, None)

    async def token(self, name: str, *audiences: str) -> str:
        """From the TokenRequest API; without an audience it is meant for the API server."""
        where = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{name}/token"
        spec = {"expirationSeconds": 600, **({"audiences": list(audiences)} if audiences else {})}
        made = await self._cluster.client.call("POST", where, body={"spec": spec})
        return str(made["status"]["token"])

    async def kubeconfig(self, name: str) -> Path:
        return await self._cluster.api.service_account_kubeconfig(name, self._namespace)

    def user(self, name: str) -> str:
        return f"system:serviceaccount:{self._namespace}:{name}"

    async def close(self) -> None:
        """Take every right away."""
        while self._roles:
            role = self._roles.pop()
            await self._cluster.client.delete("clusterrolebindings", role, None)
            await self._cluster.client.delete("clusterroles", role, None)


def read_part(part: str) -> Object:
    """One part of a token."""
    read: Object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def written_part(part: Object | bytes) -> str:
    """The same, written."""
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def signed(head: Object, claims: Object, key: Path, folder: Path) -> str:
    """Sign a token as the API server does (RS256), with its key."""
    text = f"{written_part(head)}.{written_part(claims)}"
    name = secrets.token_hex(4)
    unsigned, signature = folder / f"{name}.txt", folder / f"{name}.sig"
    unsigned.write_text(text)
    await output_of("openssl", "dgst", "-sha256", "-sign", str(key), "-out", str(signature), str(unsigned))
    return f"{text}.{written_part(signature.read_bytes())}"
