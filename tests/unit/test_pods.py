"""The host names under which a pod may have registered."""

from __future__ import annotations

from controller.domain.pods import ANNOTATION_PREFIX
from tests.unit.building import a_pod


def test_a_pod_goes_by_its_host_name_in_lower_case() -> None:
    assert a_pod(hostname="Web-0").host_names == ("web-0",)


def test_a_pod_with_a_subdomain_goes_by_each_form_of_its_name() -> None:
    assert a_pod(hostname="web-0", subdomain="web").host_names == (
        "web-0",
        "web-0.web",
        "web-0.web.shop",
        "web-0.web.shop.svc",
        "web-0.web.shop.svc.cluster.local",
    )


def test_a_pod_on_its_nodes_network_goes_by_its_nodes_name() -> None:
    assert a_pod(host_network=True, node="Node-A").host_names == ("node-a",)
    assert a_pod(host_network=True, node="").host_names == ()


def test_a_long_pod_name_is_known_by_what_its_kubelet_made_of_it() -> None:
    # A host name has 63 characters at most: the kubelet cuts a longer pod name, and hyphens and dots at the cut.
    name = "payment-reconciliation-backoffice-for-the-northern-region-api-7d9c5b6f4-x2x9k"
    assert len(name) > 63
    assert a_pod(name=name).host_names[:1] == (name[:63].rstrip("-."),)


def test_people_read_namespace_and_name() -> None:
    assert a_pod().key == "shop/orders-0"
    assert ANNOTATION_PREFIX == "eureka.drain/"
