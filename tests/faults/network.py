"""The ways between the product and the servers, each through a proxy that can be broken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.toxiproxy import Proxy, Toxiproxy


class Network:
    """`amqp`, `kube` and one of `eureka` for each node. Tests themselves go past them."""

    def __init__(self, folder: Path, *, amqp: Proxy, kube: Proxy, eureka: Sequence[Proxy]) -> None:
        self.amqp = amqp
        self.kube = kube
        self.eureka = list(eureka)
        self._folder = folder

    @property
    def broker_url(self) -> str:
        """RabbitMQ as the product is configured."""
        return f"amqp://guest:guest@127.0.0.1:{self.amqp.port}/"

    @property
    def eureka_urls(self) -> list[str]:
        """The nodes as the product is configured."""
        return [f"http://127.0.0.1:{proxy.port}/eureka" for proxy in self.eureka]

    def kubeconfig(self, cluster: Cluster) -> Path:
        """The admin's, by way of the proxy: the server's certificate is for 127.0.0.1, whatever the port."""
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.kube.port}"
        file = self._folder / "proxied.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file

    async def heal(self) -> None:
        """All of them."""
        await asyncio.gather(*(proxy.heal() for proxy in (self.amqp, self.kube, *self.eureka)))


@asynccontextmanager
async def network(
    folder: Path, binaries: Path, cluster: Cluster, broker: RabbitMq, eureka: EurekaNodes
) -> AsyncIterator[Network]:
    """Proxies before all of these servers."""
    server = Toxiproxy(folder, binaries)
    try:
        await server.start()
        yield Network(
            folder,
            amqp=await server.before("amqp", broker.port),
            kube=await server.before("kube", _port(cluster.api.url)),
            eureka=[await server.before(node.name, _port(node.url)) for node in eureka.nodes],
        )
    finally:
        await server.close()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
