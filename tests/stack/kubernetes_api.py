"""A Kubernetes control plane of our own: etcd, kube-apiserver and kube-controller-manager, on loopback.

Order of events: etcd, then the API server (ready when /readyz says so), then the controller manager; the API server
keeps its certificate, ports and tokens over restarts, so clients and kubeconfigs stay valid.

What differs from a cluster of yours: no scheduler and no kubelet (see node.py), nobody mounts service account tokens
into pods (the admission plugin is off), users are a static token file, and RBAC is on.

Traps: the API server answers watches from its own cache, so `compact` alone makes no watch "too old"; restart the API
server after it. etcd does not sync to disk: after a power cut the data would be gone, as it should.
"""

import asyncio
import json
import secrets
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import yaml

from tests.stack.addresses import free_port
from tests.stack.kube_client import KubeClient
from tests.stack.processes import Process, output_of

ADMIN = "admin"
_ETCDCTL = {"ETCDCTL_API": "3", "PATH": "/usr/local/bin:/usr/bin:/bin"}


class KubernetesApi:
    """The three servers; each is a Process of its own, to be stopped, restarted, killed or paused."""

    def __init__(
        self,
        folder: Path,
        binaries: Path,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        apiserver_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
    ) -> None:
        """`users` maps extra user names to their groups; the user `admin` may do everything."""
        self.folder = folder
        self.url = f"https://127.0.0.1:{(port := free_port())}"
        self.certificate = folder / "certificates" / "apiserver.crt"
        self._key = folder / "service-accounts.key"
        self._users = {**(users or {}), ADMIN: ["system:masters"]}
        self._tokens = {user: secrets.token_hex(16) for user in self._users}
        self._etcd_url = f"http://127.0.0.1:{free_port()}"
        self._peer_url = peer = f"http://127.0.0.1:{free_port()}"
        self.etcd = Process(
            "etcd",
            [
                "etcd",
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={self._etcd_url}",
                f"--advertise-client-urls={self._etcd_url}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
            ],
            log=folder / "etcd.log",
            ready=self._etcd_is_healthy,
        )
        self._apiserver_flags = apiserver_flags
        self._binaries = binaries
        self.apiserver = self._server("kube-apiserver", port, self._etcd_url)
        controller_port = free_port()
        self.controller_manager = Process(
            "kube-controller-manager",
            [
                str(binaries / "kube-controller-manager"),
                f"--kubeconfig={folder / 'admin.kubeconfig'}",
                "--bind-address=127.0.0.1",
                f"--secure-port={controller_port}",
                f"--cert-dir={folder / 'controller-manager-certificates'}",
                "--leader-elect=false",
                f"--service-account-private-key-file={self._key}",
                f"--root-ca-file={self.certificate}",
                # Its stock rate of 20 requests/s would make hundreds of replicas a matter of minutes.
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                "--profiling=false",
                *controller_manager_flags,
            ],
            log=folder / "kube-controller-manager.log",
            ready=lambda: _answers_ok(f"https://127.0.0.1:{controller_port}/healthz"),
            stop_budget=5,
        )

    def _server(self, name: str, port: int, etcd_url: str) -> Process:
        folder = self.folder
        return Process(
            name,
            [
                str(self._binaries / "kube-apiserver"),
                f"--etcd-servers={etcd_url}",
                "--bind-address=127.0.0.1",
                # Else it looks for an address of the machine's outer network, and fails without one.
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
                f"--secure-port={port}",
                f"--cert-dir={folder / 'certificates'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={self._key}",
                f"--service-account-signing-key-file={self._key}",
                "--service-cluster-ip-range=10.0.0.0/24",
                # One user's burst must not be throttled: we measure the product, not flow control.
                "--enable-priority-and-fairness=false",
                "--profiling=false",
                *self._apiserver_flags,
            ],
            log=folder / f"{name}.log",
            # The certificate is its own work, made before it listens.
            ready=lambda: self._is_ready(port),
            # It first waits for open watches to end, up to a minute.
            stop_budget=5,
        )

    async def _is_ready(self, port: int) -> bool:
        return self.certificate.exists() and await _answers_ok(f"https://127.0.0.1:{port}/readyz")

    @property
    def etcd_port(self) -> int:
        """Where the API server finds etcd."""
        return _port_of(self._etcd_url)

    @property
    def port(self) -> int:
        """The API server's."""
        return _port_of(self.url)

    @asynccontextmanager
    async def another_server(self, etcd_port: int) -> AsyncIterator[int]:
        """Run a second API server of this cluster, which has etcd at this port; gives its port."""
        port = free_port()
        server = self._server("another-kube-apiserver", port, f"http://127.0.0.1:{etcd_port}")
        await server.start()
        try:
            yield port
        finally:
            await server.kill()

    @property
    def admin_kubeconfig(self) -> Path:
        """May do everything."""
        return self.kubeconfig(ADMIN)

    def kubeconfig(self, user: str, *, port: int = 0) -> Path:
        """The file for one of the users; with ``port``, for what stands before the API server there."""
        name = f"{user}-{port}" if port else user
        return self._write_kubeconfig(name, self._tokens[user], f"https://127.0.0.1:{port}" if port else self.url)

    async def service_account_kubeconfig(self, name: str, namespace: str = "default") -> Path:
        """A kubeconfig that calls as this (existing) service account, with a token that the API server signed."""
        async with self.client() as client:
            request = {"spec": {"expirationSeconds": int(timedelta(hours=1).total_seconds())}}
            token = await client.call(
                "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body=request
            )
        return self._write_kubeconfig(f"{namespace}.{name}", token["status"]["token"], self.url)

    def client(self, user: str = ADMIN) -> KubeClient:
        """A client as this user; an async context manager."""
        return KubeClient(self.url, self._tokens[user], self.certificate)

    async def start(self) -> None:
        """All three, in order."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [f'{self._tokens[user]},{user},{user},"{",".join(groups)}"\n' for user, groups in self._users.items()]
        (self.folder / "tokens.csv").write_text("".join(rows))
        await output_of("openssl", "genrsa", "-out", str(self._key), "2048")
        await self.etcd.start()
        await self.apiserver.start()
        self.kubeconfig(ADMIN)
        await self.controller_manager.start()

    async def stop(self) -> None:
        """All three, in the opposite order."""
        for process in (self.controller_manager, self.apiserver, self.etcd):
            await process.stop()

    async def close(self) -> None:
        """End for good: nothing is worth saving."""
        await asyncio.gather(*(process.kill() for process in (self.controller_manager, self.apiserver, self.etcd)))

    async def compact(self) -> None:
        """Drop etcd's history up to now: continue tokens and old resource versions become too old (410)."""
        etcdctl = ["etcdctl", f"--endpoints={self._etcd_url}"]
        status = await output_of(*etcdctl, "endpoint", "status", "--write-out=json", env=_ETCDCTL)
        revision = json.loads(status)[0]["Status"]["header"]["revision"]
        await output_of(*etcdctl, "compact", str(revision), env=_ETCDCTL)

    async def back_up(self, file: Path) -> None:
        """Save what etcd holds."""
        await output_of("etcdctl", f"--endpoints={self._etcd_url}", "snapshot", "save", str(file), env=_ETCDCTL)

    async def restore(self, file: Path) -> None:
        """Put etcd back to a backup, under the API server that runs: the cluster's version goes back with it."""
        await self.etcd.kill()
        folder = self.folder / "etcd"
        shutil.rmtree(folder)
        member = [f"--initial-cluster=default={self._peer_url}", f"--initial-advertise-peer-urls={self._peer_url}"]
        await output_of(
            "etcdctl", "snapshot", "restore", str(file), f"--data-dir={folder}", "--name=default", *member, env=_ETCDCTL
        )
        await self.etcd.start()

    def _write_kubeconfig(self, user: str, token: str, url: str) -> Path:
        file = self.folder / f"{user}.kubeconfig"
        cluster = {"server": url, "certificate-authority": str(self.certificate)}
        context = {"cluster": "stack", "user": user, "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stack", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "stack", "context": context}],
            "current-context": "stack",
        }
        file.write_text(yaml.safe_dump(config))
        file.chmod(0o600)
        return file

    async def _etcd_is_healthy(self) -> bool:
        return await _answers_ok(f"{self._etcd_url}/health")


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


async def _answers_ok(url: str) -> bool:
    """Whether a GET gives 200. Without certificate checks: this asks whether it is there, not who it is."""
    timeout = aiohttp.ClientTimeout(total=3)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=context) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
