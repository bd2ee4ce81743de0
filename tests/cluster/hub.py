"""The control plane: etcd, API server, controllers and scheduler, in a machine that joins the nodes by a bridge."""

from __future__ import annotations

import signal

from tests.cluster.home import HUB_ADDRESS, SECOND_API_ADDRESS, SERVICE_NETWORK, STATE
from tests.cluster.keys import ADMIN_KUBECONFIG, KEYS
from tests.cluster.machine import Machine, run, wait_until
from tests.stack.processes import ProcessError

_NETWORK = f"""
hostname hub
ip link set lo up
ip link show br0 >/dev/null 2>&1 || ip link add br0 type bridge
ip address replace {HUB_ADDRESS}/24 dev br0
ip address replace {SECOND_API_ADDRESS}/24 dev br0
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

    def begin_second_api_server(self) -> None:
        """Start another one on the same etcd, and wait until pods are sent to it, too."""
        self.start("second-apiserver", *_api_server(SECOND_API_ADDRESS, SECOND_ETCD))
        wait_until("there are two API servers", lambda: SECOND_API_ADDRESS in self._api_addresses())

    def end_second_api_server(self) -> None:
        """End it; its watches are not worth waiting for."""
        self.join_second_api_server()
        self.stop("second-apiserver", signal.SIGKILL)
        wait_until("there is one API server", lambda: SECOND_API_ADDRESS not in self._api_addresses())

    def cut_off_second_api_server(self) -> None:
        """Swallow whatever it and etcd say to each other."""
        self.script(f"iptables -I {_BETWEEN_IT_AND_ETCD}")

    def join_second_api_server(self) -> None:
        """Swallow nothing any more."""
        self.script(f"iptables -D {_BETWEEN_IT_AND_ETCD} 2>/dev/null || true")

    def _api_addresses(self) -> str:
        return self.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes", "-o", "yaml")

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


ETCD, SECOND_ETCD = "http://127.0.0.1:2379", "http://127.0.0.2:2379"
"""The same etcd; by the second address for the second API server, so that it alone can be cut off."""
_BETWEEN_IT_AND_ETCD = "INPUT -d 127.0.0.2 -p tcp --dport 2379 -j DROP"


def _command(name: str) -> list[str]:
    peer = "http://127.0.0.1:2380"
    commands = {
        "etcd": [
            "etcd",
            f"--data-dir={STATE}/hub/etcd",
            f"--listen-client-urls={ETCD},{SECOND_ETCD}",
            f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ],
        "apiserver": _api_server(HUB_ADDRESS, ETCD),
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


def _api_server(address: str, etcd: str) -> list[str]:
    return [
        "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
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
    ]
