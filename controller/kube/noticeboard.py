"""Notices as core/v1 Events, the kind that ``kubectl describe`` shows. They are only ever created: never read."""

from __future__ import annotations

import socket
from datetime import UTC
from typing import Any
from urllib.parse import quote

from controller.domain.notices import Notice
from controller.flows.ports import Forbidden, Pointless, Posted, Posting
from controller.kube.api import EndingError, ExistsError, ForbiddenError, InvalidError, KubeApi, NotFoundError

COMPONENT = "eureka-drain"
"""What stands under "From"."""
LONGEST_INSTANCE = 128


class KubeNoticeboard:
    """The flows' ``Noticeboard``."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._instance = socket.gethostname()[:LONGEST_INSTANCE]

    async def post(self, notice: Notice) -> Posting:
        """Create the Event; one that is there already is ours, or another replica's."""
        path = f"/api/v1/namespaces/{quote(notice.namespace, safe='')}/events"
        try:
            await self._api.post(path, event_of(notice, self._instance))
        except ExistsError:
            return Posted()
        except (EndingError, NotFoundError, InvalidError) as error:
            return Pointless(why=str(error))
        except ForbiddenError as error:
            return Forbidden(why=str(error))
        return Posted()


def event_of(notice: Notice, instance: str) -> dict[str, Any]:
    """Write a notice as the API server takes it. Without ``eventTime``, which asks for fields that nobody shows."""
    at = notice.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    owner = notice.owner
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": notice.name, "namespace": notice.namespace},
        "involvedObject": {
            "apiVersion": owner.api_version if owner else "v1",
            "kind": owner.kind if owner else "Pod",
            "namespace": notice.namespace,
            "name": owner.name if owner else notice.pod,
            "uid": owner.uid if owner else notice.uid,
        },
        "type": "Warning" if notice.warning else "Normal",
        "reason": notice.reason,
        "message": notice.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
