"""Kubernetes Events as core/v1, the kind that ``kubectl describe`` shows. They are only ever created: never read."""

from __future__ import annotations

import socket
from datetime import UTC
from typing import Any
from urllib.parse import quote

from controller.domain.kubernetes_events import KubernetesEvent
from controller.flows.ports import Recorded, RecordForbidden, RecordResult, Unrecordable
from controller.kube.client import (
    ExistsError,
    InvalidError,
    KubeApi,
    KubeForbiddenError,
    NamespaceEndingError,
    NotFoundError,
)

COMPONENT = "eureka-drain"
"""What stands under "From"."""
MAX_INSTANCE_LENGTH = 128


class KubeEventRecorder:
    """The flows' ``EventRecorder``."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._instance = socket.gethostname()[:MAX_INSTANCE_LENGTH]

    async def record(self, event: KubernetesEvent) -> RecordResult:
        """Create the Event; one that is there already is ours, or another replica's."""
        path = f"/api/v1/namespaces/{quote(event.namespace, safe='')}/events"
        try:
            await self._api.post(path, event_of(event, self._instance))
        except ExistsError:
            return Recorded()
        except (NamespaceEndingError, NotFoundError, InvalidError) as error:
            return Unrecordable(why=str(error))
        except KubeForbiddenError as error:
            return RecordForbidden(why=str(error))
        return Recorded()


def event_of(event: KubernetesEvent, instance: str) -> dict[str, Any]:
    """Write an Event as the API server takes it. Without ``eventTime``, which asks for fields that nobody shows."""
    at = event.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    owner = event.owner
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event.name, "namespace": event.namespace},
        "involvedObject": {
            "apiVersion": owner.api_version if owner else "v1",
            "kind": owner.kind if owner else "Pod",
            "namespace": event.namespace,
            "name": owner.name if owner else event.pod,
            "uid": owner.uid if owner else event.uid,
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
