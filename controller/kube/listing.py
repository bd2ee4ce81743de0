"""Complete lists of pods, page by page; whatever stands in the way raises, so that no partial list is ever believed.

A page that is larger than is read is asked for again with half as many items. An item that alone is too large is named,
and is known to be there: nothing more is read of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec
from loguru import logger

from controller.bounds import KIB, MAX_OBJECT_BYTES, MAX_PAGE_BYTES
from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.errors import DeclinedError, KubernetesError
from controller.kube.client import METADATA_LIST, KubeApi, KubeForbiddenError, NotFoundError, TooLargeError
from controller.kube.client_caches_decoder import decode_fetch_seconds
from controller.kube.pod_decoder import ObjectName, decode_listed_pod, decode_name, decode_page, decode_pod
from controller.kube.pod_details_decoder import decode_details
from controller.settings import WatchSettings

T = TypeVar("T")
TOO_LARGE = "this object is too large to be read; what happens to it is not followed"
TOGETHER_BYTES = 128 * KIB
"""Bytes of items that are decoded before others have their turn."""


def pods_path(namespace: str) -> str:
    """Return the path of one namespace's pods, or of all."""
    return f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"


def pod_path(namespace: str, name: str) -> str:
    """Return the path of one pod."""
    return f"{pods_path(quote(namespace, safe=''))}/{quote(name, safe='')}"


class Listing(NamedTuple, Generic[T]):
    """A whole list."""

    items: tuple[T, ...]
    version: str
    """Its resourceVersion."""
    too_large: tuple[ObjectName, ...] = ()
    """What is in it, and was not read."""


async def list_whole(
    api: KubeApi,
    path: str,
    page_size: int,
    decode: Callable[[bytes], T],
    selectors: Mapping[str, str] | None = None,
) -> Listing[T]:
    """List every item, as ``decode`` reads it."""
    items: list[T] = []
    too_large: list[ObjectName] = []
    query, size = dict(selectors or {}), page_size
    while True:
        query["limit"] = str(size)
        try:
            page = decode_page(await api.get(path, query, most=MAX_PAGE_BYTES if size > 1 else MAX_OBJECT_BYTES))
        except TooLargeError:
            if size > 1:
                size //= 2
                continue
            page = decode_page(await api.get(path, query, accept=METADATA_LIST))
            for item in page.items:
                too_large.append(decode_name(bytes(item)))
                logger.bind(namespace=too_large[-1].namespace, name=too_large[-1].name).error(TOO_LARGE)
        else:
            size = min(2 * size, page_size)
            items.extend([decode(body) async for body in _in_turns(page.items)])
        if not page.more:
            return Listing(tuple(items), page.version, tuple(too_large))
        query["continue"] = page.more


async def _in_turns(items: list[msgspec.Raw]) -> AsyncIterator[bytes]:
    """Yield each item's bytes, and let others have their turn now and then."""
    size = 0
    for item in items:
        body = bytes(item)
        yield body
        size += len(body)
        if size > TOGETHER_BYTES:
            size = 0
            await asyncio.sleep(0)


async def list_pods(
    api: KubeApi, path: str, page_size: int, selectors: Mapping[str, str] | None = None
) -> Listing[Pod]:
    """List every pod."""
    return await list_whole(api, path, page_size, decode_listed_pod, selectors)


def everything_in(listing: Listing[T]) -> tuple[T, ...]:
    """Return the items of a list that must have them all. KubernetesError names what was too large to be read."""
    if listing.too_large:
        first = listing.too_large[0]
        raise KubernetesError(
            f"{first.namespace}/{first.name} is too large to be read, so the list is not complete "
            f"({len(listing.too_large)} such in all): make it smaller, or delete it"
        )
    return listing.items


async def list_details(api: KubeApi, watch: WatchSettings) -> list[tuple[PodDetails, int | None]]:
    """List every pod that the controller watches, and at which interval it fetches what it calls, if it says so.

    KubernetesError unless every list is complete.
    """
    found: list[tuple[PodDetails, int | None]] = []
    selectors = {"labelSelector": watch.label_selector} if watch.label_selector else {}

    def decode(body: bytes) -> tuple[PodDetails, int | None]:
        return decode_details(body), decode_fetch_seconds(body)

    for namespace in watch.scopes:
        listing = await list_whole(api, pods_path(namespace), watch.page_size, decode, selectors)
        pods = everything_in(listing)
        found += [pod for pod in pods if pod[0].pod.namespace not in watch.exclude_namespaces]
    return found


async def read_pod(api: KubeApi, namespace: str, name: str) -> Pod:
    """Read one pod as it is now. DeclinedError when there is none."""
    try:
        body = await api.get(pod_path(namespace, name), {})
    except NotFoundError as error:
        raise DeclinedError(f"there is no pod {namespace}/{name}") from error
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
            pods = everything_in(await list_pods(self._api, pods_path(""), self._page_size))
        except KubeForbiddenError as error:
            if not self._namespaces:
                raise KubernetesError(f"pods of all namespaces cannot be listed ({error})") from error
            self._whole = False
        else:
            self._whole = True
            return pods
        parts = [await list_pods(self._api, pods_path(name), self._page_size) for name in self._namespaces]
        return tuple(pod for part in parts for pod in everything_in(part))
