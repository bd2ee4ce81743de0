"""What speaks for it that a registration is a pod's: the ways in which processes really register."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.domain.annotations import PodAnnotations
from controller.domain.evidence import Sign, Strength, claim_of, claim_of_living, table_of
from controller.domain.instances import Instance
from controller.domain.ownership import Owned, ownership_of
from controller.domain.pod_names import is_generated
from controller.domain.pods import Owner, Pod, living_of
from tests.unit.building import POD_IP, a_command, a_pod, an_instance, at, terminating

NAME, OTHER = "orders-7cd9c4fbcc-nlttw", "payments-6f7d9c8b5-x2k4q"
DIGITS, GENERATED_NODE = "orders-7cd9c4fbcc-24567", "prod-md-0-7cd9c4fbcc-bbbbb"
REPLICA_SET = Owner(api_version="apps/v1", kind="ReplicaSet", name="orders-7cd9c4fbcc", uid="uid-of-rs")
UID = "4c1f8b1e-8f0a-4f0e-9f0e-0123456789ab"
POD = a_pod(UID, name=NAME, owner=REPLICA_SET, app_label="orders")
STOCK = an_instance(id=f"{NAME}:orders:8080", host_name=NAME)
ELSEWHERE = "10.2.0.9"


def strength(instance: Instance, pod: Pod = POD, annotations: PodAnnotations | None = None) -> Strength:
    return claim_of(instance, pod, annotations or PodAnnotations()).strength


OWN: dict[str, tuple[Instance, Pod]] = {
    "stock": (STOCK, POD),
    "its uid in the metadata, and nothing else": (
        an_instance(app="X", id="x", ip=ELSEWHERE, host_name="x", port=1, pod_uid=UID.replace("-", "")),
        POD,
    ),
    "a second network interface": (replace(STOCK, ip="172.16.0.3", host_name="172.16.0.3"), POD),
    "a NodePort": (replace(STOCK, ip="192.168.0.4", host_name="node-a.example.com", port=30080), POD),
    "its node's address and a host port of the pod": (
        an_instance(app="BASKET", id="192.168.0.4:basket:31080", ip="192.168.0.4", host_name="192.168.0.4", port=31080),
        replace(POD, host_ips=("192.168.0.4",), host_ports=(31080,)),
    ),
    "its address, app and port": (an_instance(id=f"{POD_IP}:orders:8080", host_name=POD_IP), POD),
    "its address, and an app that is like its label": (
        an_instance(app="ORDER-SERVICE", id=f"{POD_IP}:1", host_name=POD_IP, port=9999),
        replace(POD, app_label="order", ports=()),
    ),
    "its address and port, under an app of another name": (
        an_instance(app="BASKET", id=f"{POD_IP}:basket:8080", host_name=POD_IP),
        POD,
    ),
    "a fixed host name of its Service": (an_instance(id="o-1", host_name="orders.example.com"), POD),
    "a host name of its template": (
        an_instance(id=f"{POD_IP}:orders:8080", host_name="orders"),
        replace(POD, hostname="orders"),
    ),
    "IPv6 first, registered with IPv4": (
        an_instance(id=f"{POD_IP}:orders:8080", host_name=POD_IP),
        replace(POD, ip="fd00:10::7", ips=("fd00:10::7", POD_IP)),
    ),
    "its address as host name only": (an_instance(id="orders:8080", ip="127.0.0.1", host_name=POD_IP), POD),
    "TLS only": (
        an_instance(id=f"{POD_IP}:o", host_name=POD_IP, port=0, secure_port=8443),
        replace(POD, ports=(8443,)),
    ),
    "a StatefulSet's name at its address": (an_instance(app="X", port=1), a_pod()),
    "a StatefulSet's name without any address": (an_instance(ip=""), a_pod()),
    "on its node's network, by port": (
        an_instance(ip="192.168.0.4", host_name="node-a", id="node-a:edge:8443", port=0, secure_port=8443),
        a_pod(name="edge-x2k4q", ip="192.168.0.4", host_network=True, ports=(8443,)),
    ),
    "on its node's network, by its generated name": (
        an_instance(ip="192.168.0.4", host_name="node-a", id="edge-x2k4q:edge:1", port=1),
        a_pod(name="edge-x2k4q", ip="192.168.0.4", host_network=True, ports=()),
    ),
    "its generated name, all digits by chance, beside a NodePort": (
        an_instance(id=f"{DIGITS}:orders:8080", ip="192.168.0.4", host_name="node-a", port=30080),
        replace(POD, name=DIGITS, hostname=DIGITS, host_ips=("192.168.0.4",)),
    ),
    "its generated name between other separators": (
        an_instance(id=f"orders_{NAME}#8080", ip="172.16.0.3", host_name="172.16.0.3"),
        POD,
    ),
    "a NodePort of a node whose name is generated, too": (
        an_instance(id=f"{NAME}:orders:8080", ip="192.168.0.4", host_name=f"{GENERATED_NODE}.example.com", port=30080),
        replace(POD, node=GENERATED_NODE),
    ),
    "on the network of a node whose name is generated": (
        an_instance(ip="192.168.0.4", host_name=GENERATED_NODE, id=f"{GENERATED_NODE}:edge:8080"),
        a_pod(name="edge-x2k4q", ip="192.168.0.4", host_network=True, node=GENERATED_NODE),
    ),
    "its address, and the words of a chart's name for it": (
        an_instance(id="orders:0f0f", host_name=POD_IP, port=9999),
        replace(POD, name=f"shop-{NAME}", app_label="shop", ports=()),
    ),
    "its address, and its Deployment's name without a dash": (
        an_instance(app="ORDERSERVICE", id="orders:0f0f", host_name=POD_IP, port=9999),
        replace(POD, name="order-service-7cd9c4fbcc-nlttw", app_label="", ports=()),
    ),
    "a cloud's name of its address": (
        an_instance(app="BASKET", id="i-0f0f", host_name="ip-10-1-0-7.ec2.internal"),
        POD,
    ),
    "the cluster's name of its address, and no other address": (
        an_instance(id="o-1", ip="127.0.0.1", host_name="10-1-0-7.shop.pod.cluster.local"),
        POD,
    ),
    "its address and app, a Service's host name, and a mesh's proxy that alone declares ports": (
        an_instance(id="o-1", host_name="orders.example.com"),
        replace(POD, ports=(15090,), declares_ports=False),
    ),
    "its generated name behind its app's and a hyphen": (an_instance(id=f"orders-{NAME}", host_name=POD_IP), POD),
    "its generated name behind its namespace and a dot, on a second network interface": (
        an_instance(id=f"shop.{NAME}:8080", ip="172.16.0.3", host_name="172.16.0.3"),
        POD,
    ),
    "its name within a virtual cluster, where its object has a longer one": (
        STOCK,
        replace(POD, name=f"{NAME}-x-shop-x-vc1", hostname=NAME),
    ),
    "on its node's network, its id the node's name behind a prefix": (
        an_instance(ip="192.168.0.4", host_name="192.168.0.4", id=f"edge-{GENERATED_NODE}"),
        a_pod(name="edge-x2k4q", ip="192.168.0.4", host_network=True, node=GENERATED_NODE),
    ),
    "its address in a URL's brackets": (
        an_instance(id="o-1", ip="[fd00:10::7]", host_name="[fd00:10::7]"),
        replace(POD, ip="fd00:10::7", ips=("fd00:10::7",)),
    ),
    "its address, written as IPv6": (an_instance(id="o-1", ip="::ffff:10.1.0.7", host_name="::ffff:10.1.0.7"), POD),
}
FOREIGN: dict[str, tuple[Instance, Pod]] = {
    "another pod's uid, and everything else its own": (replace(STOCK, pod_uid="another"), POD),
    "the same host name in another cluster": (
        an_instance(id=f"{ELSEWHERE}:orders:8080", ip=ELSEWHERE, host_name="orders"),
        replace(POD, name="orders", hostname="orders"),
    ),
    "overlapping pod networks": (
        an_instance(app="PAYMENTS", id=f"{OTHER}:payments:9090", port=9090, host_name="payments.cluster-b.example.com"),
        replace(POD, name="orders", hostname="orders"),
    ),
    "overlapping pod networks, with its own port by chance": (
        an_instance(app="PAYMENTS", id=f"{OTHER}:payments:8080", host_name=POD_IP),
        POD,
    ),
    "overlapping pod networks, and no generated name": (
        an_instance(app="PAYMENTS", id=f"{POD_IP}:payments:9090", port=9090, host_name=POD_IP),
        POD,
    ),
    "overlapping pod networks, the port by chance, the host name another": (
        an_instance(app="PAYMENTS", id=f"{POD_IP}:payments:8080", host_name="payments.cluster-b.example.com"),
        POD,
    ),
    "a StatefulSet's name at another address": (an_instance(ip=ELSEWHERE), a_pod()),
    "a StatefulSet's name at the node's address alone": (
        an_instance(app="X", ip="192.168.0.4", port=30080),
        a_pod(host_ips=("192.168.0.4",)),
    ),
    "a disabled port on the node's network": (
        an_instance(ip="192.168.0.4", host_name="node-a", id="a", port=0, secure_port=9443),
        a_pod(name="edge-x2k4q", ip="192.168.0.4", host_network=True, ports=(8443,)),
    ),
    "its address, and nothing that fits": (
        an_instance(app="PAYMENTS", id="x", host_name=POD_IP, port=1),
        replace(POD, ports=()),
    ),
    "a host name of its template, which looks generated": (
        an_instance(id=f"{ELSEWHERE}:orders:8080", ip=ELSEWHERE, host_name="orders-mssql"),
        replace(POD, hostname="orders-mssql"),
    ),
    "a host name of its template, which is another pod's name": (
        an_instance(app="PAYMENTS", id=f"{OTHER}:payments:9090", ip=ELSEWHERE, host_name=OTHER, port=9090),
        replace(POD, hostname=OTHER),
    ),
    "another pod's generated name behind its own app's": (an_instance(id=f"orders-{OTHER}", host_name=POD_IP), POD),
    "a cloud's name of another address": (
        an_instance(app="PAYMENTS", id="i-0f0f", host_name="ip-172-16-0-4.ec2.internal"),
        POD,
    ),
    "its app and port elsewhere": (an_instance(id="o", ip=ELSEWHERE, host_name=ELSEWHERE), POD),
}


@pytest.mark.parametrize("way", OWN)
def test_a_pods_own_registration_is_its_own(way: str) -> None:
    instance, pod = OWN[way]
    assert claim_of(instance, pod, PodAnnotations()).holds
    # Nobody else who lives far away, under other names, changes that.
    stranger = a_pod("uid-9", name="stranger-7cd9c4fbcc-bbbbb", ip="10.9.9.9")
    command = a_command(terminating(pod), living=(living_of(stranger),))
    assert isinstance(ownership_of(instance, command, PodAnnotations()), Owned)


@pytest.mark.parametrize("way", FOREIGN)
def test_what_one_weak_sign_speaks_for_is_not_the_pods(way: str) -> None:
    instance, pod = FOREIGN[way]
    claim = claim_of(instance, pod, PodAnnotations())
    assert not claim.holds
    assert claim.why


@pytest.mark.parametrize("port", [None, 80, 8443])
def test_an_annotated_port_gives_no_power_over_a_neighbour_on_the_node(port: int | None) -> None:
    edge = a_pod(name="edge-x2k4q", ip="192.168.0.4", host_network=True, ports=(8443,))
    own = an_instance(ip="192.168.0.4", host_name="node-a", id="a", port=0, secure_port=8443)
    neighbour = replace(own, id="b", secure_port=9443)
    annotations = PodAnnotations(port=port)
    assert strength(own, edge, annotations) is Strength.address
    assert strength(neighbour, edge, annotations) is Strength.none


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        (NAME, True),
        ("fluentd-x2k4q", True),
        (DIGITS, True),
        (f"{'a-deployment-whose-name-kubernetes-has-cut':x<58}nlttw", True),
        (f"{'a-pod-whose-name-is-no-longer-than-a-person-writes-it':x<57}nlttw", False),
        ("orders-0", False),
        ("orders-24567", False),
        ("orders", False),
        ("orders-admin", False),
    ],
)
def test_a_generated_name_is_told_by_its_letters(name: str, generated: bool) -> None:
    assert is_generated(name) is generated


def test_a_living_pods_name_behind_its_apps_is_its_own() -> None:
    behind = an_instance(id=f"orders-{NAME}", host_name=POD_IP)
    assert claim_of_living(behind, living_of(POD)) is Strength.pod_name


def test_every_sign_has_its_line_in_the_table() -> None:
    assert [one.sign for one in table_of(STOCK, POD, PodAnnotations())] == list(Sign)
    assert all(one.text for one in table_of(STOCK, POD, PodAnnotations()))


# By generation.

NAMES = st.sampled_from([NAME, OTHER, "orders", "orders-0", "localhost", "orders.example.com", POD_IP, ELSEWHERE, ""])
ADDRESSES = st.sampled_from([POD_IP, ELSEWHERE, "10.1.0.8", "192.168.0.4", "127.0.0.1", "fd00:10::7", ""])
INSTANCES = st.builds(
    Instance,
    app=st.sampled_from(["ORDERS", "PAYMENTS", "ORDER-SERVICE"]),
    id=st.builds("{}:{}:{}".format, NAMES, st.sampled_from(["orders", "payments"]), st.sampled_from(["8080", "1"])),
    ip=ADDRESSES,
    host_name=NAMES,
    port=st.sampled_from([0, 8080, 9090]),
    secure_port=st.sampled_from([0, 8443]),
    pod_uid=st.sampled_from(["", "", UID.replace("-", ""), "another"]),
    registered_at=st.sampled_from([None, at(-7200), at(-1000), at(5), at(500)]),
)


def pods(uid: str) -> st.SearchStrategy[Pod]:
    return st.builds(
        a_pod,
        st.just(uid),
        name=st.sampled_from([NAME, OTHER, "orders", "orders-0"]),
        ip=st.sampled_from([POD_IP, ELSEWHERE, "192.168.0.4"]),
        host_network=st.booleans(),
        ports=st.sampled_from([(), (8080,), (8443, 9090)]),
        app_label=st.sampled_from(["", "orders", "payments"]),
        created_at=st.sampled_from([at(-3600), at(-1200), at(2)]),
    )


@given(INSTANCES, pods(UID), pods("uid-2"))
def test_what_a_living_pod_shows_more_of_is_never_taken(instance: Instance, pod: Pod, other: Pod) -> None:
    command = a_command(terminating(pod), living=(living_of(other),))
    if isinstance(ownership_of(instance, command, PodAnnotations()), Owned):
        assert claim_of_living(instance, living_of(other)) <= strength(instance, pod)


@given(INSTANCES, pods(UID), pods("uid-2"))
def test_two_pods_never_own_the_same_registration(instance: Instance, one: Pod, other: Pod) -> None:
    assume(one.name != other.name or not is_generated(one.name))
    owners = [
        isinstance(
            ownership_of(instance, a_command(terminating(mine), living=(living_of(its),)), PodAnnotations()), Owned
        )
        for mine, its in ((one, other), (other, one))
    ]
    assert owners != [True, True], (instance, one, other)


@given(INSTANCES, pods(UID))
def test_more_evidence_against_never_makes_it_the_pods(instance: Instance, pod: Pod) -> None:
    before = strength(instance, pod)
    worse = [
        replace(instance, pod_uid="another"),
        replace(instance, id=f"{instance.id}:stranger-6f7d9c8b5-x2k4q"),
        replace(instance, ip="10.3.3.3"),
        replace(instance, port=7, secure_port=0),
        replace(instance, app="SOMETHING-ELSE"),
    ]
    for other in worse:
        assert strength(other, pod) <= before


@given(INSTANCES, pods(UID))
def test_a_told_pod_uid_decides_whatever_else_speaks(instance: Instance, pod: Pod) -> None:
    if instance.pod_uid:
        assert (strength(instance, pod) is Strength.pod_uid) == (instance.pod_uid == UID.replace("-", ""))


def test_annotations_narrow_and_never_widen() -> None:
    victim: Any = an_instance(app="BANK", id="victim", ip=ELSEWHERE, host_name="bank-0")
    assert strength(victim, POD, PodAnnotations(app="BANK", instance_id="victim", port=8080)) is Strength.none
