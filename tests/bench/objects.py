"""Pods and registrations as large as real ones, as bytes that are quickly made by the ten thousand."""

from __future__ import annotations

import json
from typing import Any

NUMBER, ADDRESS = "0number0", "0address0"
APPS = 500
"""So many applications share the registrations."""


def address(number: int) -> str:
    """Its own for each of a few million."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class Pods:
    """Pods of two containers, with the managed fields that a controller and a kubelet leave: 12 kB each."""

    def __init__(self) -> None:
        self._running = json.dumps(_pod()).encode()
        going = _pod()
        going["metadata"] |= {"deletionTimestamp": "2025-06-01T12:00:30Z", "deletionGracePeriodSeconds": 30}
        self._going = json.dumps(going).encode()

    def one(self, number: int, *, going: bool = False) -> bytes:
        """The pod of this number."""
        template = self._going if going else self._running
        return _filled(template, number)

    def page(self, numbers: range, more: str) -> bytes:
        """A page of a list; ``more`` leads to the next one."""
        metadata = json.dumps({"resourceVersion": "1", "continue": more}).encode()
        items = b",".join(self.one(number) for number in numbers)
        return b'{"kind":"PodList","apiVersion":"v1","metadata":' + metadata + b',"items":[' + items + b"]}"


def pod_to_create(number: int, node: str) -> dict[str, Any]:
    """The same pod without what the API server adds, bound to a node."""
    pod: dict[str, Any] = json.loads(_filled(json.dumps(_pod()).encode(), number))
    metadata = {name: pod["metadata"][name] for name in ("name", "labels", "annotations")}
    spec = {**pod["spec"], "nodeName": node}
    # Nothing is mounted: there is no such volume.
    containers = [
        {name: one for name, one in container.items() if name != "volumeMounts"} for container in spec["containers"]
    ]
    del spec["serviceAccountName"]
    return {"metadata": metadata, "spec": {**spec, "containers": containers}}


def registry(count: int) -> bytes:
    """The answer to GET apps, with this many registrations of 1.1 kB."""
    template = json.dumps(_registration()).encode()
    apps = []
    for app in range(min(APPS, count)):
        held = b",".join(_filled(template, number) for number in range(app, count, APPS))
        apps.append(b'{"name":"ORDERS-%d","instance":[%s]}' % (app, held.replace(b"0app0", b"%d" % app)))
    return b'{"applications":{"versions__delta":"1","apps__hashcode":"","application":[' + b",".join(apps) + b"]}}"


def _filled(template: bytes, number: int) -> bytes:
    return template.replace(NUMBER.encode(), b"%07d" % number).replace(ADDRESS.encode(), address(number).encode())


def _pod() -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "orders",
        "app.kubernetes.io/instance": "orders-eu",
        "pod-template-hash": "7cd9c4",
    }
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "orders-7cd9c4",
        "uid": "5b6a7d6e",
        "controller": True,
    }
    names = [f"ORDERS_SETTING_{number}" for number in range(33)]
    variables = [{"name": name, "value": f"the value of {name.lower()}"} for name in names]
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}
    probe = {"httpGet": {"path": "/actuator/health", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10}
    container = {
        "image": "registry.example/shop/orders:2025.6.1",
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "env": variables,
        "resources": resources,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": True}],
    }
    containers = [{"name": "main", **container}, {"name": "sidecar", **container, "env": variables[:6], "ports": []}]
    condition = {"status": "True", "lastProbeTime": None, "lastTransitionTime": "2025-06-01T11:00:12Z"}
    kinds = ("Initialized", "Ready", "ContainersReady", "PodScheduled", "PodReadyToStartContainers")
    running = {"state": {"running": {"startedAt": "2025-06-01T11:00:05Z"}}, "ready": True, "restartCount": 0}
    image = {
        "image": "registry.example/shop/orders:2025.6.1",
        "imageID": "registry.example/shop/orders@sha256:" + "a" * 64,
    }
    statuses = [
        {"name": one["name"], "containerID": "containerd://" + "b" * 64, **image, **running} for one in containers
    ]
    fields: dict[str, Any] = {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}, "f:value": {}} for name in names}
    template = {
        "f:containers": {f'k:{{"name":"{one["name"]}"}}': {"f:env": fields, "f:image": {}} for one in containers}
    }
    reported: dict[str, Any] = {
        f'k:{{"type":"{kind}"}}': {".": {}, "f:status": {}, "f:lastTransitionTime": {}} for kind in kinds
    }
    managed = [
        _managed("kube-controller-manager", {"f:metadata": {"f:labels": {}}, "f:spec": template}),
        _managed("kubelet", {"f:status": {"f:conditions": reported, "f:containerStatuses": {}, "f:podIP": {}}}),
    ]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"orders-7cd9c4-{NUMBER}",
            "namespace": "shop",
            "uid": f"5b6a7d6e-1c5c-4a2a-9d53-{NUMBER}",
            "resourceVersion": "1",
            "creationTimestamp": "2025-06-01T11:00:00Z",
            "labels": labels,
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": "c" * 64},
            "ownerReferences": [owner],
            "managedFields": managed,
        },
        "spec": {"nodeName": "node-a", "containers": containers, "serviceAccountName": "orders", "volumes": []},
        "status": {
            "phase": "Running",
            "podIP": ADDRESS,
            "podIPs": [{"ip": ADDRESS}],
            "hostIP": "192.0.2.7",
            "conditions": [{"type": kind, **condition} for kind in kinds],
            "containerStatuses": statuses,
        },
    }


def _managed(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2025-06-01T11:00:12Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _registration() -> dict[str, Any]:
    host = f"orders-7cd9c4-{NUMBER}"
    lease = {"registrationTimestamp": 1748775600000, "lastRenewalTimestamp": 1748779200000, "renewalIntervalInSecs": 30}
    return {
        "instanceId": f"{host}:orders-0app0:8080",
        "app": "ORDERS-0app0",
        "hostName": host,
        "ipAddr": ADDRESS,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {**lease, "durationInSecs": 90, "evictionTimestamp": 0, "serviceUpTimestamp": 1748775600000},
        "metadata": {"management.port": "8080", "zone": "zone-a", "version": "2025.6.1"},
        "homePageUrl": f"http://{ADDRESS}:8080/",
        "statusPageUrl": f"http://{ADDRESS}:8080/actuator/info",
        "healthCheckUrl": f"http://{ADDRESS}:8080/actuator/health",
        "vipAddress": "orders-0app0",
        "secureVipAddress": "orders-0app0",
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": "1748775600000",
        "lastDirtyTimestamp": "1748775600000",
        "actionType": "ADDED",
    }
