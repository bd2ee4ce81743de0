"""What a node of the cluster says of itself, as far as its pods are concerned. Pure."""

from __future__ import annotations

from dataclasses import dataclass

SHUTTING_DOWN = "node is shutting down"
"""The kubelet's own words, in the message of the condition Ready, beside whatever else is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A node's condition Ready, as the API server shows it."""

    name: str
    ready: str = ""
    """``True``, ``False``, or ``Unknown``, which the control plane says when the kubelet is silent."""
    reason: str = ""
    message: str = ""

    @property
    def shutting_down(self) -> bool | None:
        """Whether the kubelet says that it is shutting down; None when it says nothing: then what it said holds."""
        match self.ready:
            case "True":
                return False
            case "False":
                return SHUTTING_DOWN in self.message
            case _:
                return None
