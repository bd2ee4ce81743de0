"""The reflector: list, then watch from the list's resourceVersion, for ever.

One failure at a time: a watch that ends or breaks off is taken up at the last version seen; a version that is too old
(410) leads to a new list, and the tracker finds by comparison what vanished meanwhile; everything else waits with
jittered back-off. Silence is no alarm: an idle watch is ended by the server after WATCH_SECONDS and opened again, and
a half-open connection is noticed by the read timeout.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from loguru import logger

from controller.domain.causes import cause_of
from controller.domain.pods import Pod
from controller.errors import KubernetesError
from controller.flows.backoff import Backoff
from controller.flows.ports import Alive, Changed, Clock, Listed, Removed, Sighting, Unselected
from controller.kube.client import ExpiredError, KubeApi, NotFoundError
from controller.kube.listing import list_pods, pods_path
from controller.kube.pod_decoder import decode_bookmark, decode_event, decode_failure, decode_pod
from controller.kube.pod_details_decoder import details_of
from controller.kube.pod_object import PodObject
from controller.settings import WatchSettings

WATCH_SECONDS = 10
"""How long the server keeps a watch open. It ends it with a bookmark, so that an idle watch does not grow old."""
HISTORY_SECONDS = 1
"""How long the server may send what it remembers: it does so at once, and then waits for more."""
READ_TIMEOUT = 13.0
"""Seconds of silence after which the connection is taken for dead."""
MIN_BACKOFF, MAX_BACKOFF = timedelta(seconds=0.8), timedelta(seconds=10)
LIVE_TIMEOUT = 45.0
"""Seconds without any contact after which the watch does not count as live."""


class KubePodFeed:
    """The pods of one namespace, or of all."""

    def __init__(self, api: KubeApi, settings: WatchSettings, *, namespace: str = "", clock: Clock) -> None:
        self.scope = namespace
        self.version = ""
        self._api = api
        self._settings = settings
        self._namespace = namespace
        self._clock = clock
        self._begun_at = clock()
        self._contact_at: datetime | None = None
        self._selected: dict[str, Pod] = {}
        """With a label selector only: the pods that bore the labels when they were seen last."""

    @property
    def live(self) -> bool:
        """Return whether the API server answers."""
        return self._contact_at is not None and (self._clock() - self._contact_at).total_seconds() < LIVE_TIMEOUT

    @property
    def silence(self) -> timedelta:
        """Return how long ago the API server answered; if it never has, since the start."""
        return self._clock() - (self._contact_at or self._begun_at)

    async def follow(self) -> AsyncIterator[Sighting]:
        """Yield what happens, for ever."""
        version = ""
        backoff = Backoff(first=MIN_BACKOFF, longest=MAX_BACKOFF)
        log = logger.bind(namespace=self._namespace or "(all)")
        while True:
            try:
                if not version:
                    listed, listed_at = await self._list()
                    log.bind(pods=len(listed.pods)).info("pods listed")
                    for unselected in await self._no_longer_selected(listed):
                        yield unselected
                    yield listed
                    version = self.version = listed_at
                async for sighting, seen in self._watch(version):
                    version = seen
                    backoff.reset()
                    yield sighting
                    self.version = seen
                continue
            except ExpiredError as error:
                log.bind(error=str(error)).info("resourceVersion expired; listing again")
                version = ""
            except KubernetesError as error:
                log.bind(error=str(error)).warning("watch interrupted")
            await backoff.wait()

    async def _list(self) -> tuple[Listed, str]:
        pods, version = await list_pods(self._api, self._path, self._settings.page_size, self._selectors())
        self._contact_at = self._clock()
        return Listed(scope=self._namespace, pods=pods), version

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        """Return the last states of the pods that were removed since; ExpiredError when the server has forgotten."""
        query = {
            **self._selectors(),
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(HISTORY_SECONDS),
        }
        removed = {}
        async for line in self._api.lines(self._path, query, read_timeout=READ_TIMEOUT):
            kind, body = decode_event(line)
            if kind == "ERROR":
                code, text = decode_failure(body)
                raise (ExpiredError if code == 410 else KubernetesError)(text)
            if kind == "DELETED":
                pod, whole = decode_pod(body)
                removed[pod.uid] = Removed(pod=pod, details=details_of(pod, whole))
        return tuple([one for one in removed.values() if not await self._lives_on(one.pod)])

    async def _watch(self, version: str) -> AsyncIterator[tuple[Sighting, str]]:
        query = {
            **self._selectors(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async for line in self._api.lines(self._path, query, read_timeout=READ_TIMEOUT):
            self._contact_at = self._clock()
            kind, body = decode_event(line)
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                pod, whole = decode_pod(body)
                version = whole.metadata.resource_version
                yield await self._sighted(kind, pod, whole), version
            elif kind == "BOOKMARK":
                version = decode_bookmark(body)
                yield Alive(), version
            elif kind == "ERROR":
                code, text = decode_failure(body)
                raise (ExpiredError if code == 410 else KubernetesError)(text)
        self._contact_at = self._clock()
        yield Alive(), version

    async def _sighted(self, kind: str, pod: Pod, whole: PodObject) -> Sighting:
        if kind != "DELETED":
            self._note(pod)
            return Changed(pod=pod, details=details_of(pod, whole) if cause_of(pod) else None)
        self._selected.pop(pod.uid, None)
        if await self._lives_on(pod):
            return Unselected(uid=pod.uid)
        return Removed(pod=pod, details=details_of(pod, whole))

    async def _no_longer_selected(self, listed: Listed) -> list[Unselected]:
        """Find the pods that are missing from a list because they have lost their label only."""
        listed_uids = {pod.uid for pod in listed.pods}
        missing = [pod for uid, pod in self._selected.items() if uid not in listed_uids]
        unselected = [Unselected(uid=pod.uid) for pod in missing if await self._lives_on(pod)]
        self._selected.clear()
        for pod in listed.pods:
            self._note(pod)
        return unselected

    async def _lives_on(self, pod: Pod) -> bool:
        """Return whether a pod that a selected watch calls deleted is alive: it may have lost its label only."""
        if not self._settings.label_selector or cause_of(pod) is not None:
            return False
        try:
            found, _ = decode_pod(await self._api.get(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", {}))
        except NotFoundError:
            return False
        return found.uid == pod.uid and cause_of(found) is None

    def _note(self, pod: Pod) -> None:
        if self._settings.label_selector:
            self._selected[pod.uid] = pod

    @property
    def _path(self) -> str:
        return pods_path(self._namespace)

    def _selectors(self) -> dict[str, str]:
        fields = (
            [] if self._namespace else [f"metadata.namespace!={name}" for name in self._settings.exclude_namespaces]
        )
        selectors = {"fieldSelector": ",".join(fields), "labelSelector": self._settings.label_selector}
        return {name: value for name, value in selectors.items() if value}


def feeds(api: KubeApi, settings: WatchSettings, *, clock: Clock) -> list[KubePodFeed]:
    """Make one feed for each watched namespace, or one for all of them."""
    return [KubePodFeed(api, settings, namespace=name, clock=clock) for name in settings.scopes]
