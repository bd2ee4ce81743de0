"""What is applied in the cluster beside the product: brokers, Eureka nodes, services, with their images and hosts."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.home import HUB_ADDRESS, INFRA, STATE
from tests.cluster.images import RABBITMQ_IMAGE, SERVICE_IMAGE
from tests.install.page import ROOT

_HERE = Path(__file__).parent


def rabbitmq() -> str:
    """Return three brokers; they wait for the Secret `rabbitmq-tls`."""
    text = (_HERE / "infra" / "rabbitmq.yaml").read_text()
    return text.replace("RABBITMQ_IMAGE", RABBITMQ_IMAGE).replace("DISK", str(STATE / "disk"))


def eureka() -> str:
    """Return the pair of the overlay `demo`."""
    return (ROOT / "manifests" / "overlays" / "demo" / "eureka.yaml").read_text()


def watchers() -> str:
    """Return what lets the tests ask such a pair."""
    return (_HERE / "infra" / "watchers.yaml").read_text().replace("HUB", HUB_ADDRESS)


def services(*, eureka: str = INFRA) -> list[str]:
    """Return a Deployment and, with its Service, a StatefulSet, registered at the pair in a namespace."""
    text = (_HERE / "shop" / "services.yaml").read_text().replace("SERVICE_IMAGE", SERVICE_IMAGE)
    return text.replace(f".eureka.{INFRA}:", f".eureka.{eureka}:").split("\n---\n")
