"""Makes the policies of components/kyverno from the API server's own: the same conditions, in the same words."""

from __future__ import annotations

from pathlib import Path

from tests.manifests.rendering import MANIFESTS

COMPONENTS = MANIFESTS / "components"
FILES = {
    COMPONENTS / "drain-window" / "policy.yaml": COMPONENTS / "kyverno" / "drain-window.yaml",
    COMPONENTS / "eureka-clients" / "policy.yaml": COMPONENTS / "kyverno" / "eureka-clients.yaml",
}
_HEAD = "# Made from components/{0}/policy.yaml by `make docs`. What it does, and why, is said there.\n"
_KINDS = (
    "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\n",
    "apiVersion: policies.kyverno.io/v1beta1\nkind: MutatingPolicy\n",
)
_REINVOCATION = "  # Again after a webhook has added a container.\n  reinvocationPolicy: IfNeeded\n"
"""Kyverno's webhooks are called again in any case."""
_AUTOGEN = """  # Pods alone: what Kyverno makes of it for Deployments would change them, and start rollouts.
  autogen:
    podControllers:
      controllers: []
"""
_NAMESPACES = """  matchConstraints:
    namespaceSelector:
      matchLabels:
        {0}
"""


def kyverno_policy(source: Path) -> str:
    """Return Kyverno's policy for one of the API server's, whose binding says which namespaces it is for."""
    policy, binding = source.read_text(encoding="utf-8").split("---\n")
    label = binding.rsplit("matchLabels:\n", 1)[1].strip()
    body = policy[policy.index(_KINDS[0]) :]
    for old, new in (
        _KINDS,
        (_REINVOCATION, _AUTOGEN),
        ("  matchConstraints:\n", _NAMESPACES.format(label)),
    ):
        assert body.count(old) == 1, old
        body = body.replace(old, new)
    return _HEAD.format(source.parent.name) + body


if __name__ == "__main__":
    for policy_file, file in FILES.items():
        file.write_text(kyverno_policy(policy_file), encoding="utf-8")
