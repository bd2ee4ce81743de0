"""A node: containerd, kubelet, kube-proxy and kube-router in a machine of their own, beside the hub's bridge.

Of systemd it has what a kubelet asks at a shutdown: a bus with logind's name on it.

Traps, each of which costs an hour: without CAP_SYS_RESOURCE nobody lowers an oom_score_adj, so containerd must not try;
with control groups of version 1 the kubelet wants to be asked twice, and its root must be there in every hierarchy, the
cpuset's filled; it sets sysctls of the whole machine unless they are so already, so it reads files of ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from signal import SIGUSR1

from tests.cluster import logind
from tests.cluster.ability import hierarchies
from tests.cluster.home import (
    API_SERVICE,
    CONTROL_GROUP,
    DNS_ADDRESS,
    HUB_ADDRESS,
    POD_NETWORK,
    SERVICE_NETWORK,
    node_address,
    pod_network,
)
from tests.cluster.hub import Hub
from tests.cluster.keys import KEYS
from tests.cluster.machine import Machine, run, wait_until
from tests.stack.processes import ProcessError

_HERE = Path(__file__).parent
SHUTDOWN_GRACE = 110
"""Seconds that a kubelet takes for a shutdown of its node, 10 of them for critical pods."""
PAUSE_IMAGE = "cluster.test/pause:1"
_FOLDERS = {
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "cni": "/var/lib/cni",
    "etc-cni": "/etc/cni",
}
_API_CONNECTIONS = f"PREROUTING -d {API_SERVICE} -p tcp --dport 443"
_KUBE_ROUTER = (
    "kube-router --run-firewall=true --run-router=false --run-service-proxy=false --run-loadbalancer=false"
    f" --service-cluster-ip-range={SERVICE_NETWORK}"
)
"""Of it only what enforces NetworkPolicies, which the bridge plugin does not."""
_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
_CONTAINERD = f"""
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"""


class Node(Machine):
    """A machine with containers; number 1 and up."""

    def __init__(self, number: int, path: str, hub: Hub) -> None:
        super().__init__(f"node-{number}", path)
        self.number = number
        self._hub = hub

    def begin(self) -> None:
        """Make it, join it to the hub, and start its programs."""
        if not self.is_up:
            super().begin()
            self._make_folders()
            self._mount()
            self._join()
        self._configure()
        self.start_containerd()

    def start_containerd(self) -> None:
        """Start it, and wait until it answers."""
        self.start_program("containerd")
        wait_until(f"containerd of {self.name} answers", lambda: self._succeeds("ctr", "version"))

    def restart_containerd(self) -> None:
        """Restart it, and what has ended for want of it, as the service manager of a node does."""
        self.stop("containerd")
        self.start_containerd()
        self.begin_kubelet()

    def begin_kubelet(self) -> None:
        """Start what needs the first images."""
        self._begin_logind()
        for program in ("kubelet", "proxy", "policies"):
            self.start_program(program)

    def shut_down(self) -> None:
        """Do as `systemctl poweroff` does: the machine is off when nobody delays it any more."""
        self.send("logind", SIGUSR1)
        wait_until(f"{self.name} may be switched off", lambda: not self.runs("logind"), logind.LONGEST_DELAY + 10)
        self.end()

    def start_program(self, name: str) -> None:
        """Start one of containerd, bus, logind, kubelet, proxy, policies."""
        flags = f"--kubeconfig={KEYS}/policies.kubeconfig --hostname-override={self.name}"
        commands = {
            "containerd": ["containerd", "--config", str(self.folder / "containerd.toml")],
            "bus": ["dbus-daemon", "--nofork", f"--config-file={_HERE}/bus.conf"],
            "logind": [sys.executable, logind.__file__],
            "kubelet": [
                "kubelet",
                f"--config={self.folder}/kubelet.yaml",
                f"--kubeconfig={KEYS}/{self.name}.kubeconfig",
                f"--hostname-override={self.name}",
                f"--node-ip={node_address(self.number)}",
            ],
            "proxy": ["kube-proxy", f"--config={self.folder}/proxy.yaml"],
            # It ends until its node is known; a service manager would begin it again.
            "policies": ["bash", "-c", f"until {_KUBE_ROUTER} {flags}; do sleep 1; done"],
        }
        self.start(name, *commands[name])

    def load(self, *archives: Path) -> None:
        """Give images to its containerd, unless it has them."""
        for archive in archives:
            mark = self.folder / f"{archive.name}.loaded"
            stamp = f"{archive.stat().st_mtime_ns}"
            if not mark.exists() or mark.read_text() != stamp:
                self.run("ctr", "--namespace", "k8s.io", "images", "import", str(archive), timeout=300)
                mark.write_text(stamp)

    def cut_off(self) -> None:
        """Pull its cable: everything on it goes on, and nobody hears of it."""
        self._hub.script(f"ip link set veth{self.number} down")

    def join_again(self) -> None:
        """Plug it in."""
        self._hub.script(f"ip link set veth{self.number} up")

    def send_pods_to(self, api_server: str) -> None:
        """Let new connections of its pods to the API server all go to this address."""
        self.script(f"iptables -t nat -I {_API_CONNECTIONS} -j DNAT --to-destination {api_server}:6443")

    def send_pods_to_any(self, api_server: str) -> None:
        """Leave that to kube-proxy again; connections that are open stay where they are."""
        self.script(f"iptables -t nat -D {_API_CONNECTIONS} -j DNAT --to-destination {api_server}:6443 || true")

    def _begin_logind(self) -> None:
        """A kubelet that finds none when it starts asks no more."""
        self.script("mkdir -p /run/dbus")
        self.start_program("bus")
        wait_until(
            f"the bus of {self.name} is there", lambda: self._succeeds("test", "-S", "/run/dbus/system_bus_socket")
        )
        self.start_program("logind")
        asked = ("org.freedesktop.DBus.GetNameOwner", f"string:{logind.NAME}")
        call = ("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/", *asked)
        wait_until(f"logind of {self.name} is on its bus", lambda: self._succeeds(*call))

    def _succeeds(self, *command: str) -> bool:
        try:
            self.run(*command)
        except ProcessError:
            return False
        return True

    def _make_folders(self) -> None:
        for name in (*_FOLDERS, "etc-cni/net.d", "log", "sysctl"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for hierarchy in hierarchies():
            top = hierarchy / CONTROL_GROUP
            for folder in (top, top / self.name):
                folder.mkdir(exist_ok=True)
                if hierarchy.name == "cpuset":
                    for what in ("cpuset.cpus", "cpuset.mems"):
                        (folder / what).write_text((folder.parent / what).read_text())
        for name, value in _SYSCTLS.items():
            (self.folder / "sysctl" / name.replace("/", ".")).write_text(f"{value}\n")
        (self.folder / "machine-id").write_text(f"{self.number:032x}\n")
        (self.folder / "resolv.conf").write_text("")

    def _mount(self) -> None:
        binds = [f"bind {self.folder}/{name} {target}" for name, target in _FOLDERS.items()]
        files = [f"mount --bind {self.folder}/sysctl/{name.replace('/', '.')} /proc/sys/{name}" for name in _SYSCTLS]
        lines = [
            f"hostname {self.name}",
            "mount --make-rshared /",
            'bind() { mkdir -p "$2"; mount --bind "$1" "$2"; }',
            *binds,
            f"bind {self.folder}/log /var/log",
            "mount -t tmpfs -o mode=755 tmpfs /run",
            f"mount --bind {self.folder}/machine-id /etc/machine-id",
            f"mount --bind {self.folder}/resolv.conf /etc/resolv.conf",
            *files,
            "ip link set lo up",
        ]
        self.script("\n".join(lines))

    def _join(self) -> None:
        cable = f"veth{self.number}"
        pair = ("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        run(*self._hub.in_network(*pair))
        route = f"{pod_network(self.number)} via {node_address(self.number)}"
        self._hub.script(f"ip link set {cable} master br0 up\nip route replace {route}")
        self.script(
            f"""
            ip address add {node_address(self.number)}/24 dev eth0
            ip link set eth0 up
            ip route add default via {HUB_ADDRESS}
            echo 1 >/proc/sys/net/ipv4/ip_forward
            echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
            """
        )

    def _configure(self) -> None:
        network = {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni0",
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": pod_network(self.number)}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{KEYS}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{KEYS}/{self.name}.crt",
            "tlsPrivateKeyFile": f"{KEYS}/{self.name}.key",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "resolvConf": f"{self.folder}/resolv.conf",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CONTROL_GROUP}/{self.name}",
            "failSwapOn": False,
            "shutdownGracePeriod": f"{SHUTDOWN_GRACE}s",
            "shutdownGracePeriodCriticalPods": "10s",
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        }
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "hostnameOverride": self.name,
            "clientConnection": {"kubeconfig": f"{KEYS}/proxy.kubeconfig"},
            "clusterCIDR": POD_NETWORK,
            # These are the whole machine's: not to be touched from in here.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        _write_if_new(self.folder / "etc-cni/net.d/10-pods.conflist", json.dumps(network, indent=1))
        _write_if_new(self.folder / "containerd.toml", _CONTAINERD)
        _write_if_new(self.folder / "kubelet.yaml", json.dumps(kubelet, indent=1))
        # kube-proxy ends when its file is touched.
        _write_if_new(self.folder / "proxy.yaml", json.dumps(proxy, indent=1))


def _write_if_new(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
