"""The control plane: etcd, API server, controllers and scheduler, in a machine that joins the nodes by a bridge."""

from __future__ import annotations

from tests.cluster.home import HUB_ADDRESS, SERVICE_NETWORK, STATE
from tests.cluster.keys import ADMIN_KUBECONFIG, KEYS
from tests.cluster.machine import Machine, run, wait_until
from tests.stack.processes import ProcessError

_NETWORK = f"""
hostname hub
ip link set lo up
ip link show br0 >/dev/null 2>&1 || ip link add br0 type bridge
ip address replace {HUB_ADDRESS}/24 dev br0
ip link set br0 up
echo 1 >/proc/sys/net/ipv4/ip_forward
"""


class Hub(Machine):
    """The machine without containers. It has no way out, either."""

    def __init__(self, path: str) -> None:
        super().__init__("hub", path)

    def begin(self) -> None:
        """Make it, and start its servers in order."""
        super().begin()
        self.script(_NETWORK)
        for server in ("etcd", "apiserver"):
            self.start_server(server)
        wait_until("the API server answers", self.is_ready)
        for server in ("controllers", "scheduler"):
            self.start_server(server)

    def start_server(self, name: str) -> None:
        """Start one of etcd, apiserver, controllers, scheduler."""
        self.start(name, *_command(name))

    def is_ready(self) -> bool:
        """Whether the API server is."""
        try:
            return self.kubectl("get", "--raw", "/readyz").strip() == "ok"
        except ProcessError:
            return False

    def kubectl(self, *words: str, text: str | None = None, timeout: float = 120) -> str:
        """Run kubectl as the cluster's owner, in this network but with the machine's files."""
        command = ("kubectl", f"--kubeconfig={ADMIN_KUBECONFIG}", *words)
        return run(*self.in_network(*command), env=self._environment(), text=text, timeout=timeout)


def _command(name: str) -> list[str]:
    etcd = "http://127.0.0.1:2379"
    peer = "http://127.0.0.1:2380"
    commands = {
        "etcd": [
            "etcd",
            f"--data-dir={STATE}/hub/etcd",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ],
        "apiserver": [
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--advertise-address={HUB_ADDRESS}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--allow-privileged=true",
            f"--client-ca-file={KEYS}/ca.crt",
            f"--tls-cert-file={KEYS}/apiserver.crt",
            f"--tls-private-key-file={KEYS}/apiserver.key",
            f"--kubelet-certificate-authority={KEYS}/ca.crt",
            f"--kubelet-client-certificate={KEYS}/apiserver-kubelet.crt",
            f"--kubelet-client-key={KEYS}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={KEYS}/accounts.pub",
            f"--service-account-signing-key-file={KEYS}/accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            # Five minutes of patience with a lost node are the same as one half.
            "--default-not-ready-toleration-seconds=30",
            "--default-unreachable-toleration-seconds=30",
        ],
        "controllers": [
            "kube-controller-manager",
            f"--kubeconfig={KEYS}/controllers.kubeconfig",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={KEYS}/accounts.key",
            f"--root-ca-file={KEYS}/ca.crt",
            f"--cluster-signing-cert-file={KEYS}/ca.crt",
            f"--cluster-signing-key-file={KEYS}/ca.key",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
        ],
        "scheduler": ["kube-scheduler", f"--kubeconfig={KEYS}/scheduler.kubeconfig", "--leader-elect=false"],
    }
    return commands[name]
