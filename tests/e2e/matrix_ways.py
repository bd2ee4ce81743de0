"""Ways to register, as frameworks and networks have them, and beside each a living process that looks much like it.

Everything that a process says of itself is made here from where it runs, so that a newer process of the same way says
the same of itself as the older one did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.stack.eureka_client import Registration

RENEWAL_SECONDS = 2
HOST_PORTS = 32_000
"""Where those of the ways begin."""


@dataclass(frozen=True)
class Place:
    """Where a process runs, and what it may know of that."""

    app: str
    pod: str
    uid: str
    ip: str
    """IPv4, also where another address is the pod's first."""
    node: str
    node_ip: str
    number: int
    """The way's: for ports that are unique on a node, and for addresses of other networks."""

    @property
    def stranger(self) -> str:
        """Another app, whose name has nothing in common with this one's."""
        return f"payments{self.app.rpartition('-')[2]}"


class Home(StrEnum):
    """What the watch knows of a bystander."""

    watched = "a watched pod"
    other_namespace = "a pod that is not watched"
    elsewhere = "of no pod of this cluster"


class Sharing(StrEnum):
    """Who dies of those who share an id."""

    youngest = "the one that the registry shows"
    oldest = "one that the registry does not show any more"


@dataclass(frozen=True)
class Way:
    """A way to register."""

    title: str
    own: Callable[[Place], Registration]
    """What it registers at a place."""
    looks: str
    """The registration, for people."""
    beside: Callable[[Place, Place], Registration]
    """What the bystander registers: given the dying pod's place and its own."""
    bystander: str
    """The bystander, for people."""
    home: Home = Home.elsewhere
    ports: tuple[int, ...] = (8080,)
    """What the pod declares; 0 stands for a port of its own."""
    host_name: str = ""
    """`spec.hostname`; {app} stands for the app."""
    host_network: bool = False
    host_port: bool = False
    """Its port is a port of its node, too."""
    dual_stack: bool = False
    ordinal: bool = False
    """The pod's name is a StatefulSet's: its successor has it, too."""
    same_id: bool = False
    """One at a time: a successor registers under the same id."""
    sharing: Sharing | None = None
    alike: bool = False
    """Nothing but a `poduid` could tell it from the bystander."""


def _registration(
    app: str,
    instance_id: str,
    ip: str,
    *,
    host: str = "",
    port: int = 8080,
    secure_port: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> Registration:
    """One that heartbeats quickly; the host name is the address unless it is given."""
    return Registration(app, instance_id, ip, host or ip, port, RENEWAL_SECONDS, secure_port, dict(metadata or {}))


def _stock(at: Place) -> Registration:
    return _registration(at.app, f"{at.pod}:{at.app}:8080", at.ip, host=at.pod)


def _only_host(at: Place) -> Registration:
    return _registration(at.app, at.pod, at.ip, host=at.pod)


def _no_address(at: Place) -> Registration:
    return _registration(at.app, f"{at.app}:{at.uid}", "127.0.0.1", host=at.app)


def _by_address(at: Place) -> Registration:
    return _registration(at.app, f"{at.ip}:{at.app}:8080", at.ip)


def _service_host(at: Place) -> Registration:
    return _registration(at.app, f"{at.ip}:{at.app}:8080", at.ip, host=f"{at.app}.shop.svc")


def _pod_host(at: Place) -> Registration:
    return _registration(at.app, f"{at.ip}:{at.app}:8080", at.ip, host=at.app)


def _shared(at: Place) -> Registration:
    return _registration(at.app, f"{at.app}:8080", at.ip, host=f"{at.app}.shop.svc")


def _node_port(at: Place, port: int = 30_000) -> Registration:
    return _registration(at.app, f"{at.pod}:{at.app}:{port + at.number}", at.node_ip, port=port + at.number)


def _host_port(at: Place, port: int = HOST_PORTS) -> Registration:
    number = port + at.number
    return _registration(at.app, f"{at.node_ip}:{at.app}:{number}", at.node_ip, port=number)


def _secure(at: Place) -> Registration:
    return _registration(at.app, f"{at.ip}:{at.app}:8443", at.ip, port=0, secure_port=8443)


def _second_interface(at: Place) -> Registration:
    return _registration(at.app, f"{at.pod}:{at.app}:8080", f"192.168.7.{at.number}")


def _host_network(at: Place, port: int = 9_000) -> Registration:
    return _registration(
        at.app, f"{at.node}:{at.app}:{port + at.number}", at.node_ip, host=at.node, port=port + at.number
    )


def _tells_its_uid(at: Place) -> Registration:
    return _registration(
        at.stranger,
        f"gateway-{at.uid[:8]}",
        f"203.0.113.{at.number}",
        host="gateway.example.com",
        port=7000,
        metadata={"poduid": at.uid},
    )


def _foreign(dying: Place, *, port: int = 8080, host: str = "") -> Registration:
    """At the same address, as where the networks of two clusters overlap, with another app."""
    return _registration(dying.stranger, f"{dying.ip}:{dying.stranger}:{port}", dying.ip, host=host, port=port)


WAYS = (
    Way(
        "Spring's stock id",
        _stock,
        "id `{pod}:{app}:8080`, host name `{pod}`",
        lambda _, at: _stock(at),
        "another replica",
        Home.watched,
    ),
    Way(
        "host name as id",
        _only_host,
        "id and host name `{pod}`, as Node's client has it",
        lambda _, at: _only_host(at),
        "another replica",
        Home.watched,
    ),
    Way(
        "address, prefer-ip",
        _by_address,
        "id `{ip}:{app}:8080`, host name `{ip}`",
        lambda dying, _: _foreign(dying, port=9090, host="payments.cluster-b.example.com"),
        "another app at the same address, with another port and host name",
    ),
    Way(
        "address, prefer-ip, beside the same port",
        _by_address,
        "id `{ip}:{app}:8080`, host name `{ip}`",
        lambda dying, _: _foreign(dying),
        "another app at the same address and port, with prefer-ip too",
    ),
    Way(
        "address, no port declared",
        _by_address,
        "id `{ip}:{app}:8080`, host name `{ip}`; the pod declares no port",
        lambda dying, _: _foreign(dying),
        "another app at the same address and port, with prefer-ip too",
        ports=(),
    ),
    Way(
        "host name of a Service",
        _service_host,
        "id `{ip}:{app}:8080`, host name `{app}.shop.svc`",
        lambda _, at: _service_host(at),
        "another replica under the same host name",
        Home.watched,
    ),
    Way(
        "fixed host name of the pod",
        _pod_host,
        "id `{ip}:{app}:8080`, host name `{app}` (`spec.hostname`)",
        lambda _, at: _pod_host(at),
        "the same host name, app and port in another cluster",
        host_name="{app}",
    ),
    Way(
        "fixed host name, no address",
        _no_address,
        "id `{app}:{random}`, host name `{app}` (`spec.hostname`), address 127.0.0.1",
        lambda _, at: _no_address(at),
        "the same in another cluster",
        host_name="{app}",
        alike=True,
    ),
    Way(
        "fixed id",
        lambda at: _registration(at.app, f"one-of-{at.app}", at.ip),
        "id `one-of-{app}`, host name `{ip}`; one pod at a time",
        lambda _, at: _registration(at.app, f"two-of-{at.app}", at.ip),
        "the same app and port at another address",
        same_id=True,
    ),
    Way(
        "shared id, the youngest goes",
        _shared,
        "id `{app}:8080`, host name `{app}.shop.svc`, in each replica",
        lambda _, at: _shared(at),
        "an older replica that renews the same id",
        Home.watched,
        sharing=Sharing.youngest,
    ),
    Way(
        "shared id, an older one goes",
        _shared,
        "id `{app}:8080`, host name `{app}.shop.svc`, in each replica",
        lambda _, at: _shared(at),
        "the youngest replica, whose registration it is",
        Home.watched,
        sharing=Sharing.oldest,
    ),
    Way(
        "NodePort",
        _node_port,
        "id `{pod}:{app}:{nodePort}`, address and host name the node's",
        lambda _, at: _node_port(at, 31_000),
        "the same app behind another port of the node",
    ),
    Way(
        "hostPort",
        _host_port,
        "id `{node's IP}:{app}:{hostPort}`, address and host name the node's",
        lambda _, at: _host_port(at, HOST_PORTS + 500),
        "the same app behind another port of the node",
        host_port=True,
        same_id=True,
    ),
    Way(
        "https only",
        _secure,
        "id `{ip}:{app}:8443`, host name `{ip}`, port 80 disabled",
        lambda dying, _: _registration(
            dying.stranger, f"{dying.ip}:{dying.stranger}:9443", dying.ip, port=0, secure_port=9443
        ),
        "another app at the same address, https only, with another port",
        ports=(8443,),
    ),
    Way(
        "dual stack",
        _by_address,
        "id `{IPv4}:{app}:8080`, host name `{IPv4}`; podIP is IPv6",
        lambda _, at: _by_address(at),
        "another replica",
        Home.watched,
        dual_stack=True,
    ),
    Way(
        "second network interface",
        _second_interface,
        "id `{pod}:{app}:8080`, address and host name of a network that Kubernetes does not know",
        lambda _, at: _second_interface(at),
        "a replica of another cluster at the same address",
    ),
    Way(
        "hostNetwork",
        _host_network,
        "id `{node}:{app}:{port}`, host name `{node}`; the pod declares the port",
        lambda _, at: _host_network(at, 9_500),
        "the same app at another port of the node",
        ports=(0,),
        host_network=True,
        same_id=True,
    ),
    Way(
        "StatefulSet",
        _stock,
        "id `{name}-0:{app}:8080`, host name `{name}-0`",
        lambda dying, at: _registration(at.app, f"{dying.pod}.other:{at.app}:8080", at.ip, host=dying.pod),
        "the same pod name, app and port in another namespace",
        Home.other_namespace,
        ordinal=True,
        same_id=True,
    ),
    Way(
        "`poduid`, and nothing else that fits",
        _tells_its_uid,
        "metadata `poduid`; another app, address, host name and port",
        lambda dying, at: _registration(
            dying.app, f"{dying.ip}:{dying.app}:8080", dying.ip, metadata={"poduid": at.uid}
        ),
        "everything of the pod's, but another `poduid`",
    ),
)
