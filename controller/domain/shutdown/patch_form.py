"""The forms in which ``doctor --pods --patch`` prints what makes pods serve long enough."""

from enum import StrEnum


class PatchForm(StrEnum):
    """Who is to take it."""

    kubectl = "kubectl"
    kustomize = "kustomize"
    helm = "helm"
