"""What the kubelets say of themselves, asked through the API server; where that is not allowed, nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from urllib.parse import quote

from controller.errors import KubernetesError
from controller.kube.client import KubeApi, KubeForbiddenError, NotFoundError
from controller.kube.kubelet_decoder import decode_node_shutdown

MAX_NODES = 100
"""Kubelets that are asked: the nodes of one cluster are mostly alike."""
CONCURRENT_NODES = 8
NODE_TIMEOUT = 5.0
"""Seconds for a kubelet's answer."""


async def ask_kubelets(api: KubeApi, nodes: Iterable[str]) -> tuple[dict[str, timedelta], tuple[str, ...]]:
    """Ask how long each node that shuts down lets a usual pod serve; return that by node, and what is in doubt.

    Needs the verb get on nodes/proxy, which lets its holder read everything that a kubelet shows.
    """
    chosen = list(islice(dict.fromkeys(filter(None, nodes)), MAX_NODES))
    slots = asyncio.Semaphore(CONCURRENT_NODES)

    async def ask(node: str) -> timedelta | KubernetesError | None:
        path = f"/api/v1/nodes/{quote(node, safe='')}/proxy/configz"
        try:
            async with slots, asyncio.timeout(NODE_TIMEOUT):
                return decode_node_shutdown(await api.get(path, {}))
        except NotFoundError:
            return None  # it has gone, or its kubelet does not show this
        except TimeoutError:
            return KubernetesError("the kubelet does not answer in time")
        except KubernetesError as error:
            return error

    answers = [await ask(node) for node in chosen[:1]]
    is_refused = any(isinstance(one, KubeForbiddenError) for one in answers)  # as all others would be
    if not is_refused:
        answers += await asyncio.gather(*map(ask, chosen[1:]))
    lets = {node: one for node, one in zip(chosen, answers, strict=False) if isinstance(one, timedelta)}
    failures = [one for one in answers if isinstance(one, KubernetesError)]
    if not failures:
        return lets, ()
    whose = "nodes were" if is_refused else "1 node was" if len(failures) == 1 else f"{len(failures)} nodes were"
    return lets, (f"{whose} not asked how long pods may serve when a node shuts down: {failures[0]}",)
