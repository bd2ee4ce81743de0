"""Doctor's look at what the broker is: whether its version and its kind keep what we give it.

Quorum queues that expire messages and hand them on at least once, which the delay queues are, exist from 3.10 on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from controller.domain.diagnostics import Check, Severity
from controller.settings import SecretUrl

FIRST_VERSION = (3, 10)
_AMAZON = re.compile(r"\.mq\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)$", re.IGNORECASE)


def look_at_version(area: str, version: str) -> list[Check]:
    """Look at a broker's product and version, as it names them itself."""
    found = re.search(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) >= FIRST_VERSION:
        return []
    why = f"{version} is older than 3.10: its quorum queues cannot delay a message"
    return [Check(area=area, what="version", severity=Severity.wrong, found=why, fix="use RabbitMQ 3.10 or newer")]


def look_at_kind(area: str, urls: Iterable[SecretUrl]) -> list[Check]:
    """Look at where the broker runs: Amazon MQ loses streams with the node that held them."""
    hosts = {urlsplit(url.get_secret_value()).hostname or "" for url in urls}
    if not any(_AMAZON.search(host) for host in hosts):
        return []
    why = "Amazon MQ does not keep streams when it replaces a node: the event log and the pods' ends would be lost"
    fix = "use a RabbitMQ whose disks outlive its nodes (docs/install.md)"
    return [Check(area=area, what="streams", severity=Severity.wrong, found=why, fix=fix)]
