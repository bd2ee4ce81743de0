"""What stands in for images: the program of a container whose image is known here, in a file system of its own view.

There is no container engine. A known image's entrypoint is a local program; the pod's ConfigMaps, Secrets and service
account are files at the paths where its spec mounts them, visible to that program alone: it runs in a mount namespace
of its own, in which the folders above those paths are overlaid, so that nothing appears on the machine.

Traps: the files are written before the start and not renewed. uid, capabilities and the read-only root are not played.
Needs root, or a kernel that lets users make mount namespaces.
"""

import base64
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.stack.kube_client import KubeClient

Object = dict[str, Any]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Image:
    """`env` may use the pod's variables and POD_IP: a program that listens everywhere would take every pod's port."""

    entrypoint: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """What a pod knows of the API server."""

    url: str
    certificate: Path

    @property
    def variables(self) -> dict[str, str]:
        """As every container has them."""
        parts = urlsplit(self.url)
        return {"KUBERNETES_SERVICE_HOST": str(parts.hostname), "KUBERNETES_SERVICE_PORT": str(parts.port)}


def name_of(image: str) -> str:
    """Without tag and digest."""
    path, slash, last = image.partition("@")[0].rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"


class Volumes:
    """The files of one container."""

    def __init__(self, pod: Object, container: Object, folder: Path) -> None:
        self._pod = pod
        self._volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
        self._folder = folder / "volumes"
        self._mounts = {
            mount["name"]: Path(mount["mountPath"])
            for mount in container.get("volumeMounts") or []
            if "emptyDir" not in self._volumes[mount["name"]]
        }
        self._has_token = pod["spec"].get("automountServiceAccountToken", True)

    def command(self, words: Sequence[str]) -> list[str]:
        """The command with its own view of the file system."""
        mounts = {self._folder / name: path for name, path in self._mounts.items()}
        if self._has_token:
            mounts[self._folder / "token"] = SERVICE_ACCOUNT
        if not mounts:
            return list(words)
        steps = ["set -e"]
        for number, top in enumerate(sorted({Path("/", *path.resolve().parts[1:2]) for path in mounts.values()})):
            upper = self._folder / f"overlay-{number}"
            steps += [
                f"mkdir -p {_quoted(upper)}",
                f"mount -t tmpfs tmpfs {_quoted(upper)}",
                f"mkdir {_quoted(upper / 'up')} {_quoted(upper / 'work')}",
                f"mount -t overlay -o lowerdir={top},upperdir={upper / 'up'},workdir={upper / 'work'} overlay {top}",
            ]
        for source, path in mounts.items():
            steps += [f"mkdir -p {_quoted(path)}", f"mount --bind {_quoted(source)} {_quoted(path)}"]
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = "; ".join([*steps, 'exec "$@"'])
        return ["unshare", *user, "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words]

    async def write(self, client: KubeClient, host: Host) -> None:
        """Write what is mounted. KubeError while something is not there, as a kubelet waits for it."""
        namespace = self._pod["metadata"]["namespace"]
        for name in self._mounts:
            content: dict[str, bytes] = {}
            for source in self._sources(self._volumes[name]):
                content |= await _content(client, namespace, source)
            _write(self._folder / name, content)
        if self._has_token:
            account = self._pod["spec"].get("serviceAccountName") or "default"
            where = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
            seconds = int(timedelta(hours=1).total_seconds())
            made = await client.call("POST", where, body={"spec": {"expirationSeconds": seconds}})
            token = str(made["status"]["token"]).encode()
            files = {"token": token, "ca.crt": host.certificate.read_bytes(), "namespace": namespace.encode()}
            _write(self._folder / "token", files)

    @staticmethod
    def _sources(volume: Object) -> list[Object]:
        return volume["projected"]["sources"] if "projected" in volume else [volume]


async def _content(client: KubeClient, namespace: str, source: Object) -> dict[str, bytes]:
    if config := source.get("configMap"):
        found = await client.call("GET", f"/api/v1/namespaces/{namespace}/configmaps/{config['name']}")
        content = {name: text.encode() for name, text in (found.get("data") or {}).items()}
        items = config.get("items")
    elif secret := source.get("secret"):
        name = secret.get("secretName") or secret["name"]
        found = await client.call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        content = {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}
        items = secret.get("items")
    else:
        raise NotImplementedError(f"this node does not know a volume of {sorted(source)}")
    return {item["path"]: content[item["key"]] for item in items} if items else content


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(value)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
