"""The reflector: list, then watch from the list's resourceVersion, for ever.

One failure at a time: a watch that ends or breaks off is taken up at the last version seen; a version that is too old
(410), or that the cluster has fallen back behind, leads to a new list, and the tracker finds by comparison what
vanished meanwhile; everything else waits with jittered back-off. Silence is no alarm: an idle watch is ended by the
server after WATCH_SECONDS and opened again, and a half-open connection is noticed by the read timeout.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

from loguru import logger

from controller.bounds import MAX_TOO_LARGE
from controller.domain.bounded_map import BoundedMap
from controller.domain.causes import cause_of
from controller.domain.pods import Pod
from controller.errors import KubernetesError
from controller.flows.backoff import Backoff
from controller.flows.ports import Alive, Changed, Clock, Listed, Removed, Sighting
from controller.kube.client import ExpiredError, KubeApi, NotFoundError, TooLargeError
from controller.kube.listing import TOO_LARGE, list_pods, pod_path, pods_path
from controller.kube.pod_decoder import ObjectName, decode_bookmark, decode_head, decode_pod
from controller.kube.pod_details_decoder import details_of
from controller.kube.pod_object import PodObject
from controller.kube.unselected_pods import READ_TIMEOUT, UnselectedPods
from controller.kube.version_check import VersionCheck
from controller.kube.watching import watch_events
from controller.settings import WatchSettings

WATCH_SECONDS = 10
"""How long the server keeps a watch open. It ends it with a bookmark, so that an idle watch does not grow old."""
DOUBT_SECONDS = 2
"""The same, while nobody says how far the cluster is: another API server may know more."""
HISTORY_SECONDS = 1
"""How long the server may send what it remembers: it does so at once, and then waits for more."""
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
        self._version_check = VersionCheck(api, self._path, clock=clock)
        self._selected: dict[str, Pod] = {}
        """With a label selector only: the pods that bore the labels when they were seen last."""
        self.too_large: BoundedMap[str, ObjectName] = BoundedMap(MAX_TOO_LARGE)
        """The pods by uid that were too large to be read when they were met last."""
        self._unselected = UnselectedPods(api)

    @property
    def live(self) -> bool:
        """Return whether the API server answers, and not from old memory."""
        return self._contact_at is not None and (self._clock() - self._contact_at).total_seconds() < LIVE_TIMEOUT

    @property
    def silence(self) -> timedelta:
        """Return how long ago the API server answered so; if it never has, since the start."""
        return self._clock() - (self._contact_at or self._begun_at)

    async def follow(self) -> AsyncIterator[Sighting]:
        """Yield what happens, for ever."""
        version = ""
        backoff = Backoff(first=MIN_BACKOFF, longest=MAX_BACKOFF)
        log = logger.bind(namespace=self._namespace or "(all)")
        while True:
            try:
                if version and await self._version_check.went_back(version):
                    version = ""
                if not version:
                    listed, listed_at = await self._list()
                    log.bind(pods=len(listed.pods)).info("pods listed")
                    yield await self._with_unselected(listed)
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
            except TooLargeError as error:
                version = self._pass_over(error)
            except KubernetesError as error:
                log.bind(error=str(error)).warning("watch interrupted")
            await backoff.wait()

    async def _list(self) -> tuple[Listed, str]:
        pods, version, large = await list_pods(self._api, self._path, self._settings.page_size, self._selectors())
        self._contact_at = self._clock()
        self.too_large = BoundedMap(MAX_TOO_LARGE)
        self.too_large.update({one.uid: one for one in large[:MAX_TOO_LARGE]})
        return Listed(scope=self._namespace, pods=pods, unselected=frozenset(one.uid for one in large)), version

    def follow_unselected(self) -> AsyncIterator[Sighting]:
        """Yield what becomes of the pods that have lost the labels that are watched, for ever."""
        return self._unselected.follow()

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        """Return the last states of the pods that were removed since; ExpiredError when the server has forgotten."""
        removed = {}
        async for kind, body in watch_events(
            self._api, self._path, self._selectors(), version, seconds=HISTORY_SECONDS
        ):
            if kind == "DELETED":
                pod, whole = decode_pod(body)
                removed[pod.uid] = Removed(pod=pod, details=details_of(pod, whole))
        return tuple([one for one in removed.values() if not await self._still_there(one.pod)])

    async def has(self, namespace: str, name: str, uid: str) -> bool:
        """Return whether this pod's object is there, watched or not; asked of etcd, not of a cache."""
        try:
            body = await self._api.get(pod_path(namespace, name), {}, read_timeout=READ_TIMEOUT)
        except NotFoundError:
            return False
        except TooLargeError:
            return True
        return decode_pod(body)[0].uid == uid

    async def _watch(self, version: str) -> AsyncIterator[tuple[Sighting, str]]:
        seconds = WATCH_SECONDS if self._version_check.known else DOUBT_SECONDS
        async for kind, body in watch_events(self._api, self._path, self._selectors(), version, seconds=seconds):
            self._note_contact()
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                pod, whole = decode_pod(body)
                version = whole.metadata.resource_version
                yield await self._sighted(kind, pod, whole), version
            elif kind == "BOOKMARK":
                version = decode_bookmark(body)
                if self._version_check.known:
                    yield Alive(), version
        self._note_contact()
        if self._version_check.known:
            yield Alive(), version

    def _note_contact(self) -> None:
        if self._version_check.known:
            self._contact_at = self._clock()

    def _pass_over(self, error: TooLargeError) -> str:
        """Leave out an event that is too large; return from which version the watch goes on, empty for a new list."""
        event = decode_head(error.head)
        if event is None or event.kind == "DELETED":
            # A list shows what is not there any more.
            logger.bind(error=str(error)).error("a watch event was too large; listing again")
            return ""
        self.too_large[event.object.uid] = event.object
        logger.bind(namespace=event.object.namespace, name=event.object.name).error(TOO_LARGE)
        return event.version

    async def _sighted(self, kind: str, pod: Pod, whole: PodObject) -> Sighting:
        if kind != "DELETED":
            self._note(pod)
            return Changed(pod=pod, details=details_of(pod, whole) if cause_of(pod) else None)
        self.too_large.pop(pod.uid, None)
        found = await self._still_there(pod)
        # Not before: where nobody could say, the next list has to ask for it once more.
        self._selected.pop(pod.uid, None)
        return found or Removed(pod=pod, details=details_of(pod, whole))

    async def _with_unselected(self, listed: Listed) -> Listed:
        """Find the pods that are missing from a list because they have lost their label only."""
        listed_uids = {pod.uid for pod in listed.pods} | listed.unselected
        for uid, pod in self._selected.items():
            if uid not in listed_uids:
                await self._still_there(pod)
        self._selected.clear()
        for pod in listed.pods:
            self._note(pod)
        return replace(listed, unselected=listed.unselected | self._unselected.uids)

    async def _still_there(self, pod: Pod) -> Changed | None:
        """Return a pod that a selected watch calls deleted as it is now: it may have lost its label only."""
        if not self._settings.label_selector or cause_of(pod) is not None:
            return None
        return await self._unselected.take_in(pod)

    def _note(self, pod: Pod) -> None:
        if self._settings.label_selector:
            self._selected[pod.uid] = pod
            self._unselected.let_go(pod.uid)

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
