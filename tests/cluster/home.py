"""Where the cluster keeps what it makes. All of it is in the user's cache, and `down` removes what is not built."""

from __future__ import annotations

from tests.stack.built_once import cache_folder

HOME = cache_folder() / "cluster"
IMAGES = HOME / "images"
"""buildah's store and archives of what was built: they stay."""
STATE = HOME / "state"
"""Of the cluster that is up: etcd, keys, the nodes' containers, process numbers."""
LOGS = HOME / "logs"
TABLE = LOGS / "table.md"
"""What came of each way to end, by the last run of its tests."""
INSTALLATION = STATE / "install"
"""The desk from which the page was followed."""
IS_INSTALLED = INSTALLATION / "followed"
"""Is there once it was followed to its end."""
CONTROL_GROUP = "eureka-drain-cluster"
HUB_ADDRESS = "10.90.0.1"
"""Of the control plane; whoever is in its network reaches nodes, pods and Services."""
SECOND_API_ADDRESS = "10.90.0.2"
"""Of another API server of the same etcd, where a test starts one."""
API_SERVICE = "10.96.0.1"
"""By which pods find an API server: kube-proxy chooses one for each connection."""
INFRA, SHOP, PRODUCT = "infra", "shop", "eureka-drain"
"""The namespaces of the servers, of the services that are ended, and of what is tried."""
POD_NETWORK, SERVICE_NETWORK, DNS_ADDRESS = "10.91.0.0/16", "10.96.0.0/16", "10.96.0.10"


def node_address(number: int) -> str:
    """Return a node's address."""
    return f"10.90.0.{10 + number}"


def pod_network(number: int) -> str:
    """Return the addresses that a node gives to its pods."""
    return f"10.91.{number}.0/24"
