"""Authorize requests. Every route asks here first; ``refusals`` answers those that are refused.

Order: where a write comes from; the token of the header or the session; the two tokens of the settings; who was let in
before; the limit for tokens that nobody knows; the API server. A token goes no further than that, and into no log.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from enum import Enum
from hashlib import sha256
from typing import Protocol

from aiohttp import web
from loguru import logger

from controller.errors import KubernetesError
from controller.kube.reviews import GROUP, Identity
from controller.ops.auth.credentials import credentials_of
from controller.ops.auth.decision_cache import AuthDecision, DecisionCache, Monotonic, Refused, User
from controller.ops.auth.origin import Sender, sender_of
from controller.ops.auth.refusals import OpsForbiddenError, RefusedError, UnauthorizedError, UnavailableError
from controller.ops.auth.session_store import SessionStore
from controller.ops.auth.token_rate import TokenRate
from controller.settings import OpsSettings

CHECK_TIMEOUT = 10.0
"""Seconds for both reviews together: somebody waits."""
LOG_INTERVAL = 10.0
"""Seconds between two log lines of the same kind: anybody can cause one."""
MAX_NAME_LENGTH = 200
"""Characters of a user's name."""
ANONYMOUS = User("anonymous", known=False, shared=True)


class Permission(Enum):
    """What a request needs: the verb and the resource of ``eureka.drain`` that grant it."""

    READ = ("get", "drains")
    WRITE = ("create", "replays")


class Checker(Protocol):
    """The API server, which knows whose a token is. KubernetesError when it cannot say."""

    async def who(self, token: str) -> Identity | None:
        """Return whose token it is; None for nobody's."""

    async def may(self, identity: Identity, verb: str, resource: str) -> tuple[bool, str]:
        """Return whether that user may, and why."""


class Authorizer:
    """One for the whole application: it remembers what was decided."""

    def __init__(
        self, settings: OpsSettings, checker: Checker | None = None, *, clock: Monotonic = time.monotonic
    ) -> None:
        """Without a checker only the tokens of the settings are valid."""
        self._settings = settings
        self._checker = checker if settings.kubernetes else None
        self._decisions = DecisionCache(clock)
        self._rate = TokenRate(clock)
        self.sessions = SessionStore(clock)
        self._clock = clock
        self._quiet_until = 0.0
        self._static = _static_of(settings)

    def rotate_credentials(self, settings: OpsSettings) -> None:
        """Use new tokens of the settings: the old ones are invalid from now on."""
        self._static = _static_of(settings)

    async def authorize(self, request: web.Request, need: Permission) -> User:
        """Return who sent the request; RefusedError unless that user has this permission.

        A write must be a POST, and from none but our own pages where a browser sends it.
        """
        if need is Permission.WRITE and request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        if need is Permission.WRITE:
            self.refuse_foreign(request)
        may_be_anybody = need is Permission.READ and self._settings.anonymous_read
        credentials = credentials_of(request, self.sessions)
        if credentials is None:
            if may_be_anybody:
                return ANONYMOUS
            raise UnauthorizedError("sign in, or send a token: Authorization: Bearer …")
        if need is Permission.WRITE and credentials.from_cookie:
            self.refuse_foreign(request, unknown=True)
        try:
            return await self.check(credentials.token, need, peer=peer_of(request))
        except RefusedError:
            # A cookie whose token is no longer valid must not show less than no cookie.
            if may_be_anybody and credentials.from_cookie:
                return ANONYMOUS
            raise

    async def may_write(self, request: web.Request) -> bool:
        """Return whether a page should offer its reader to write. The write itself is authorized again."""
        try:
            credentials = credentials_of(request, self.sessions)
            if credentials is None:
                return False
            await self.check(credentials.token, Permission.WRITE, peer=peer_of(request))
        except RefusedError:
            return False
        return True

    async def check(self, token: str, need: Permission, *, peer: str) -> User:
        """Return whose token it is; RefusedError unless that user has this permission. ``peer``: who sent it."""
        digest = _digest(token)
        decision = self._by_settings(digest, need)
        if decision is None and self._checker is None:
            self._rate.take(peer)
            raise UnauthorizedError("the token is not valid")
        if decision is None:
            decision = await self._decisions.get(
                digest,
                need.name,
                lambda: self._by_kubernetes(token, need, peer),
                admit=lambda: self._rate.take(peer),
            )
        if isinstance(decision, Refused):
            raise decision.error()
        return decision

    def refuse_foreign(self, request: web.Request, *, unknown: bool = False) -> None:
        """Refuse what another site's page made a browser send; with ``unknown`` also what names no page."""
        sender = sender_of(request, trust_forwarded=self._settings.trust_forwarded)
        if sender is Sender.FOREIGN:
            raise OpsForbiddenError(
                "the request comes from another site's page, or a proxy changed its Host (see ops.trust_forwarded)"
            )
        if unknown and sender is Sender.UNKNOWN:
            raise OpsForbiddenError(
                "with a cookie, a write needs the Origin header; programs send Authorization: Bearer …"
            )

    def _by_settings(self, digest: bytes, need: Permission) -> AuthDecision | None:
        # All are compared, so that the time taken reveals nothing.
        found = [(user, may) for known, user, may in self._static if hmac.compare_digest(known, digest)]
        if not found:
            return None
        [(user, may)] = found
        return user if need in may else Refused(OpsForbiddenError, f"the {user.name} may only read")

    async def _by_kubernetes(self, token: str, need: Permission, peer: str) -> AuthDecision:
        decision = await self._review(token, need)
        if isinstance(decision, User) or decision.kind is UnavailableError:
            self._rate.give_back(peer)
        return decision

    async def _review(self, token: str, need: Permission) -> AuthDecision:
        checker = self._checker
        assert checker is not None
        verb, resource = need.value
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                identity = await checker.who(token)
                if identity is None:
                    return Refused(UnauthorizedError, "the token is not valid")
                allowed, reason = await checker.may(identity, verb, resource)
        except (KubernetesError, TimeoutError) as error:
            if self._clock() >= self._quiet_until:
                self._quiet_until = self._clock() + LOG_INTERVAL
                why = str(error) or "no answer in time"
                logger.bind(error=why).warning("the API server cannot check tokens")
            return Refused(UnavailableError, "the API server cannot check tokens now: try again")
        name = identity.name[:MAX_NAME_LENGTH]
        if allowed:
            return User(name)
        why = f" ({reason})" if reason else ""
        return Refused(OpsForbiddenError, f"{name} lacks the verb {verb} on {resource}.{GROUP}{why}")


def peer_of(request: web.Request) -> str:
    """Return the address that the request came from: of a proxy, where there is one."""
    return request.remote or ""


def _static_of(settings: OpsSettings) -> list[tuple[bytes, User, tuple[Permission, ...]]]:
    return [
        (_digest(token.get_secret_value()), user, may)
        for token, user, may in (
            (settings.viewer_token, User("viewer token", shared=True), (Permission.READ,)),
            (settings.operator_token, User("operator token", shared=True), (Permission.READ, Permission.WRITE)),
        )
        if token.get_secret_value()
    ]


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
