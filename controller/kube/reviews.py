"""Whose a bearer token is, and what its user may do, as the API server says: TokenReview and SubjectAccessReview.

The two resources that are asked about, ``drains`` and ``replays`` of the group ``eureka.drain``, exist nowhere: RBAC
grants verbs on any name. They have no namespace, so only a ClusterRoleBinding grants them.

Trap: the API server reads only the part of a token before a space; of a token that begins with one nothing is left, and
the answer is "authenticated, as system:anonymous". So such tokens are not sent, and nobody anonymous is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from controller.errors import KubernetesError
from controller.kube.client import KubeApi, KubeForbiddenError

_WHO = "/apis/authentication.k8s.io/v1/tokenreviews"
_MAY = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
GROUP = "eureka.drain"
MAX_REASON_LENGTH = 300
"""Characters."""
RECOGNIZABLE = 8
"""Characters of a token that no error text may hold."""


class Identity(msgspec.Struct, frozen=True):
    """A user as the API server authenticated it."""

    name: str = msgspec.field(default="", name="username")
    uid: str = ""
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None
    """What the authenticator adds, and authorizers may look at."""

    @property
    def anonymous(self) -> bool:
        """Whether this is nobody in particular."""
        return self.name in ("", "system:anonymous") or "system:unauthenticated" in (self.groups or ())


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: Identity | None = None
    audiences: tuple[str, ...] | None = None


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct, rename="camel"):
    allowed: bool = False
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


_token_review = msgspec.json.Decoder(_TokenReview)
_access_review = msgspec.json.Decoder(_AccessReview)


class Reviews:
    """Needs the verb create on tokenreviews and on subjectaccessreviews, nothing else."""

    def __init__(self, api: KubeApi, *, audiences: Sequence[str] = ()) -> None:
        """``audiences``: a token must be meant for one of these; none means the API server itself."""
        self._api = api
        self._audiences = tuple(audiences)

    async def who(self, token: str) -> Identity | None:
        """Tell whose token it is; None when it is nobody's, or not meant for us.

        KubernetesError, without any of the token, when the API server cannot say.
        """
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            return None
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = list(self._audiences)
        try:
            status = _decoded(_token_review, await self._create(_WHO, "TokenReview", spec)).status
        except KubernetesError as error:
            if token[:RECOGNIZABLE] in str(error):
                raise KubernetesError("the API server refused to review a token, and quoted it") from None
            raise
        user: Identity | None = status.user
        if not status.authenticated or user is None or user.anonymous:
            return None
        # An authenticator that knows no audiences says yes to every token, and names none.
        if self._audiences and not set(self._audiences) & set(status.audiences or ()):
            return None
        return user

    async def may(self, identity: Identity, verb: str, resource: str) -> tuple[bool, str]:
        """Tell whether the user may do this to ``resource`` of our group, and why (often empty, for a plain no)."""
        spec = {
            "user": identity.name,
            "uid": identity.uid,
            "groups": list(identity.groups or ()),
            "extra": {name: list(values) for name, values in (identity.extra or {}).items()},
            "resourceAttributes": {"group": GROUP, "resource": resource, "verb": verb},
        }
        status = _decoded(_access_review, await self._create(_MAY, "SubjectAccessReview", spec)).status
        return status.allowed and not status.denied, (status.reason or status.evaluation_error)[:MAX_REASON_LENGTH]

    async def _create(self, path: str, kind: str, spec: dict[str, Any]) -> bytes:
        group, _, resource = path.removeprefix("/apis/").partition("/v1/")
        try:
            return await self._api.post(path, {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec})
        except KubeForbiddenError as error:
            raise KubeForbiddenError(f"we lack the verb create on {resource}.{group} ({error})") from error


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # Without the error's text: the answer repeats the token.
        raise KubernetesError("the answer is not a review") from error
