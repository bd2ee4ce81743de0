"""What RabbitMQ's messaging topology operator takes: the fields of its version v1beta1 that our component may use.

Facts of its resource definitions (github.com/rabbitmq/messaging-topology-operator, config/crd), so that a field that it
does not know is refused here as there. The operator itself is not run.
"""

from __future__ import annotations

from tests.manifests.rendering import Object

PLURALS = {"Vhost": "vhosts", "User": "users", "Permission": "permissions"}
_TEXT: Object = {"type": "string"}


def _of(*required: str, **properties: Object) -> Object:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


_REFERENCE = _of(name=_TEXT, namespace=_TEXT, connectionSecret=_of(name=_TEXT))
_SPECS = {
    "Vhost": _of(
        "name",
        "rabbitmqClusterReference",
        name=_TEXT,
        rabbitmqClusterReference=_REFERENCE,
        deletionPolicy={"type": "string", "enum": ["delete", "retain"]},
    ),
    "User": _of(
        "rabbitmqClusterReference",
        rabbitmqClusterReference=_REFERENCE,
        importCredentialsSecret=_of(name=_TEXT),
        tags={"type": "array", "items": _TEXT},
    ),
    "Permission": _of(
        "permissions",
        "rabbitmqClusterReference",
        "vhost",
        permissions=_of(configure=_TEXT, write=_TEXT, read=_TEXT),
        rabbitmqClusterReference=_REFERENCE,
        user=_TEXT,
        userReference=_of(name=_TEXT),
        vhost=_TEXT,
    ),
}


def topology_operator_crds() -> Object:
    """Its resource definitions, as far as our component uses them."""
    return {"apiVersion": "v1", "kind": "List", "items": [_definition(kind, spec) for kind, spec in _SPECS.items()]}


def _definition(kind: str, spec: Object) -> Object:
    plural = PLURALS[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.rabbitmq.com"},
        "spec": {
            "group": "rabbitmq.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1beta1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _of(spec=spec)},
                }
            ],
        },
    }
