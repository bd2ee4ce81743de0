"""Complete lists of pods, page by page; whatever stands in the way raises, so that no partial list is ever believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.errors import KubernetesError
from controller.kube.client import KubeApi, KubeForbiddenError, NotFoundError
from controller.kube.pod_decoder import decode_page, decode_pod
from controller.kube.pod_details_decoder import decode_details_page
from controller.settings import WatchSettings

T = TypeVar("T")


def pods_path(namespace: str) -> str:
    """Return the path of one namespace's pods, or of all."""
    return f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"


async def list_whole(
    api: KubeApi,
    path: str,
    page_size: int,
    decode: Callable[[bytes], tuple[list[T], str, str]],
    selectors: Mapping[str, str] | None = None,
) -> tuple[tuple[T, ...], str]:
    """List every item, as ``decode`` reads a page; return them and the list's resourceVersion."""
    items: list[T] = []
    query = {**(selectors or {}), "limit": str(page_size)}
    while True:
        page, version, more = decode(await api.get(path, query))
        items += page
        if not more:
            return tuple(items), version
        query["continue"] = more


async def list_pods(
    api: KubeApi, path: str, page_size: int, selectors: Mapping[str, str] | None = None
) -> tuple[tuple[Pod, ...], str]:
    """List every pod; return them and the list's resourceVersion."""
    return await list_whole(api, path, page_size, decode_page, selectors)


async def list_details(api: KubeApi, watch: WatchSettings) -> list[PodDetails]:
    """List every pod that the controller watches. KubernetesError unless every list is complete."""
    found: list[PodDetails] = []
    selectors = {"labelSelector": watch.label_selector} if watch.label_selector else {}
    for namespace in watch.scopes:
        pods, _ = await list_whole(api, pods_path(namespace), watch.page_size, decode_details_page, selectors)
        found += [pod for pod in pods if pod.pod.namespace not in watch.exclude_namespaces]
    return found


async def read_pod(api: KubeApi, namespace: str, name: str) -> Pod:
    """Read one pod as it is now. KubernetesError when there is none."""
    try:
        body = await api.get(f"{pods_path(quote(namespace, safe=''))}/{quote(name, safe='')}", {})
    except NotFoundError as error:
        raise KubernetesError(f"there is no pod {namespace}/{name}") from error
    return decode_pod(body)[0]


class Census:
    """Every pod of the cluster, or of these namespaces when no more may be listed."""

    def __init__(self, api: KubeApi, *, namespaces: Sequence[str], page_size: int) -> None:
        self._api = api
        self._namespaces = namespaces
        self._page_size = page_size
        self._whole = True
        """False when other namespaces' pods are not known."""

    async def is_whole(self) -> bool:
        """Return whether the pods of every namespace may be listed."""
        await self.take()
        return self._whole

    async def take(self) -> tuple[Pod, ...]:
        """List them now. KubernetesError unless the list is complete."""
        try:
            pods, _ = await list_pods(self._api, pods_path(""), self._page_size)
        except KubeForbiddenError as error:
            if not self._namespaces:
                raise KubernetesError(f"pods of all namespaces cannot be listed ({error})") from error
            self._whole = False
        else:
            self._whole = True
            return pods
        parts = [await list_pods(self._api, pods_path(name), self._page_size) for name in self._namespaces]
        return tuple(pod for part, _ in parts for pod in part)
