"""What our own account may do, as the API server says: SelfSubjectAccessReview, which every account may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from loguru import logger

from controller.errors import KubernetesError
from controller.kube.client import KubeApi
from controller.kube.pod_decoder import decoded

CHECK_INTERVAL = timedelta(seconds=15)
_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One verb on one resource. An empty namespace means all of them, or a resource that has none."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}{where}"


def needs_of_watch(scopes: Sequence[str], *, kubernetes_events: bool) -> list[Need]:
    """Return what a watch of these scopes (namespaces, or one empty name) needs."""
    needs = [Need(verb=verb, resource="pods", namespace=scope) for scope in scopes for verb in ("list", "watch", "get")]
    if kubernetes_events:
        needs += [Need(verb="create", resource="events", namespace=scope) for scope in scopes]
    return needs


def wishes_of_watch(*, nodes: bool) -> list[Need]:
    """Return what a watch uses where it is granted, and does without where it is not."""
    return [Need(verb=verb, resource="nodes") for verb in ("list", "watch")] if nodes else []


def needs_of_sweep(scopes: Sequence[str]) -> list[Need]:
    """Return what one pass of the sweep needs."""
    return [Need(verb="list", resource="pods", namespace=scope) for scope in scopes]


def needs_of_ops() -> list[Need]:
    """Return what the gate of ``ops`` needs to have tokens checked."""
    return [
        Need(verb="create", resource="tokenreviews", group="authentication.k8s.io"),
        Need(verb="create", resource="subjectaccessreviews", group="authorization.k8s.io"),
    ]


class _ReviewStatus(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _ReviewStatus


_review = msgspec.json.Decoder(_Review)


async def may(api: KubeApi, need: Need) -> bool:
    """Ask the API server. KubernetesError when it cannot say."""
    attributes = {"verb": need.verb, "resource": need.resource, "group": need.group, "namespace": need.namespace}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    review: _Review = decoded(_review, await api.post(_PATH, body), "an access review")
    return review.status.allowed


class Rights:
    """Keeps asking, so that readiness shows when a right is taken away."""

    def __init__(self, api: KubeApi, needs: Sequence[Need]) -> None:
        self.needs = tuple(needs)
        self._api = api
        self._missing: frozenset[Need] = frozenset()

    def has(self, need: Need) -> bool:
        """Whether we may; while nobody has said that we may not, we may."""
        return need not in self._missing

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            try:
                missing = frozenset([need for need in self.needs if not await may(self._api, need)])
            except KubernetesError as error:
                # The API server is away, which other checks show; the last answer stands.
                logger.bind(error=str(error)).debug("rights not asked for")
            else:
                for need in sorted(missing - self._missing, key=str):
                    logger.bind(right=str(need)).error("a right is missing; see eureka-drain doctor")
                self._missing = missing
            await asyncio.sleep(CHECK_INTERVAL.total_seconds())
