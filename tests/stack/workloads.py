"""Objects to create in the cluster: the shapes that tests and the demo need, as plain dictionaries."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_REPOSITORY = Path(__file__).parents[2]


def container(
    *command: str,
    name: str = "main",
    env: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    readiness: Object | None = None,
    lifecycle: Object | None = None,
    folder: Path | None = None,
) -> Object:
    """`fields` maps variables to field paths (`{"POD_IP": "status.podIP"}`); no command: it idles."""
    variables: list[Object] = [
        {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": field}}}
        for variable, field in (fields or {}).items()
    ]
    variables += [{"name": variable, "value": value} for variable, value in (env or {}).items()]
    found: Object = {"name": name, "image": "local", "command": list(command), "env": variables}
    if readiness:
        found["readinessProbe"] = readiness
    if lifecycle:
        found["lifecycle"] = lifecycle
    if folder:
        found["workingDir"] = str(folder)
    return found


def python_service(
    app: str,
    eureka: Sequence[str],
    *,
    port: int = 8080,
    renewal_seconds: int = 30,
    env: Mapping[str, str] | None = None,
    lifecycle: Object | None = None,
) -> Object:
    """tests/stack/service.py: ready when it answers."""
    variables = {
        "APP": app,
        "PORT": str(port),
        "EUREKA_NODES": ",".join(eureka),
        "RENEWAL_SECONDS": str(renewal_seconds),
    }
    return container(
        sys.executable,
        "-m",
        "tests.stack.service",
        env=variables | dict(env or {}),
        fields={"POD_IP": "status.podIP", "POD_NAME": "metadata.name"},
        readiness={"httpGet": {"port": port, "path": "/"}, "periodSeconds": 1},
        lifecycle=lifecycle,
        folder=_REPOSITORY,
    )


def java_service(
    app: str,
    eureka: Sequence[str],
    program: Sequence[str],
    *,
    port: int = 8080,
    flags: Sequence[str] = (),
    lifecycle: Object | None = None,
) -> Object:
    """The sample service with the stock client; `program` is `parts.sample_service`'s.

    Its instance id is `{ip}:{app}:{port}`, as Spring Cloud's is with a host name.
    """
    return container(
        "java",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Xmx128m",
        "-Xss512k",
        *program,
        "--server.address=$(POD_IP)",
        f"--server.port={port}",
        f"--spring.application.name={app}",
        "--eureka.instance.prefer-ip-address=true",
        "--eureka.instance.ip-address=$(POD_IP)",
        f"--eureka.instance.instance-id=$(POD_IP):{app}:{port}",
        f"--eureka.client.service-url.defaultZone={','.join(eureka)}",
        *flags,
        fields={"POD_IP": "status.podIP"},
        readiness={"httpGet": {"port": port, "path": "/"}, "periodSeconds": 1},
        lifecycle=lifecycle,
    )


def pod_spec(
    *containers: Object, grace_seconds: int = 30, restart_policy: str = "Always", host_network: bool = False
) -> Object:
    """A pod's spec."""
    spec: Object = {
        "containers": list(containers),
        "terminationGracePeriodSeconds": grace_seconds,
        "restartPolicy": restart_policy,
    }
    return spec | ({"hostNetwork": True} if host_network else {})


def pod(name: str, spec: Object, *, annotations: Mapping[str, str] | None = None) -> Object:
    """A pod of nobody."""
    return {"metadata": {"name": name, "labels": {"app": name}, "annotations": dict(annotations or {})}, "spec": spec}


def deployment(
    name: str,
    spec: Object,
    *,
    replicas: int = 3,
    annotations: Mapping[str, str] | None = None,
    stock_strategy: bool = False,
) -> Object:
    """Rolling update, one more at a time, none less; or as Kubernetes has it: a quarter more, a quarter less."""
    labels = {"app": name}
    strategy = {} if stock_strategy else {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": strategy,
            "template": {"metadata": {"labels": labels, "annotations": dict(annotations or {})}, "spec": spec},
        },
    }


def stateful_set(name: str, spec: Object, *, replicas: int = 1) -> Object:
    """Its pods come back under the same name."""
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def job(name: str, spec: Object) -> Object:
    """One run to completion; the spec's restart policy must be OnFailure or Never."""
    return {"metadata": {"name": name}, "spec": {"template": {"spec": spec}, "backoffLimit": 0}}
