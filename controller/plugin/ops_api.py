"""The API of ``ops``: where it is, a token for it, and requests to it through a forwarded port."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from controller.domain.printable import printable
from controller.plugin.kubectl import Kubectl, KubectlError
from controller.plugin.problem import BAD_USAGE, PluginError

PREFIX = "/api/v1"
NAMESPACE = "eureka-drain"
"""Where ``ops`` is looked for by whoever may not look everywhere."""
SELECTOR = "app.kubernetes.io/name=eureka-drain,app.kubernetes.io/component=ops"
AUDIENCE = "eureka-drain"
TOKEN_LIFETIME = "10m"  # noqa: S105 - how long one is good
TOKEN_USE = 480.0
"""Seconds for which one is used."""
REQUEST_TIMEOUT = 45.0
"""Seconds: ``ops`` ends each request after 30."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_EVENT_BYTES = 1024 * 1024
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class OpsService:
    """The Service of ``ops``."""

    namespace: str
    name: str

    def account(self, kind: str) -> str:
        """Return the service account for people who read (viewer) or write (operator)."""
        return f"{self.name.removesuffix('-ops')}-{kind}"


def find_ops(kubectl: Kubectl, namespace: str) -> OpsService:
    """Find the Service of ``ops``: in that namespace, or anywhere, as far as the person may look."""
    get = ("get", "services", "--selector", SELECTOR, "--output", "json")
    if namespace:
        found = kubectl.run(*get, "--namespace", namespace)
    else:
        try:
            found = kubectl.run(*get, "--all-namespaces")
        except KubectlError:
            namespace = NAMESPACE
            found = kubectl.run(*get, "--namespace", namespace)
    names = [one["metadata"] for one in _json(found, "kubectl get services")["items"]]
    services = [OpsService(one["namespace"], one["name"]) for one in names]
    where = f"namespace {namespace}" if namespace else "this cluster"
    if not services:
        raise PluginError(f"{where} has no Service of eureka-drain ops; say where it is: --ops-namespace NAMESPACE")
    if len(services) > 1:
        several = ", ".join(f"{one.namespace}/{one.name}" for one in services)
        raise PluginError(f"{where} has several: {several}; choose one: --ops-namespace NAMESPACE")
    return services[0]


def token_for(kubectl: Kubectl, service: OpsService, kind: str) -> str:
    """Return a short-lived token that opens the API and nothing else."""
    account = service.account(kind)
    words = ("--namespace", service.namespace, "--audience", AUDIENCE, "--duration", TOKEN_LIFETIME)
    try:
        return kubectl.run("create", "token", account, *words).strip()
    except KubectlError as error:
        raise PluginError(
            f"{error}; a person needs the Role {account} in {service.namespace}, or a token of their own in "
            "KUBECTL_DRAINS_TOKEN"
        ) from None


def person_of(kubectl: Kubectl) -> str:
    """Return whom the API server takes the person for; empty where it does not say (before Kubernetes 1.28)."""
    try:
        return str(_json(kubectl.run("auth", "whoami", "--output", "json"), "")["status"]["userInfo"]["username"])
    except (PluginError, LookupError, TypeError):
        return ""


class TokenSource:
    """A token that is asked for anew before it ends; or one that a person has given."""

    def __init__(self, ask: Callable[[], str], given: str = "") -> None:
        """PluginError when what was given cannot be a token; it is not quoted."""
        if given and not (given.isascii() and given.isprintable() and " " not in given):
            raise PluginError(
                "KUBECTL_DRAINS_TOKEN holds no token: it has to be one line of letters and signs", BAD_USAGE
            )
        self._ask = ask
        self._token, self._good_until = given, math.inf if given else 0.0

    def token(self) -> str:
        """Return one that is good for a request."""
        if time.monotonic() >= self._good_until:
            self._token, self._good_until = self._ask(), time.monotonic() + TOKEN_USE
        return self._token


@dataclass(frozen=True, slots=True)
class OpsApi:
    """Requests with a token."""

    port: int
    token: Callable[[], str]

    def json(self, method: str, path: str, query: Query = (), body: Mapping[str, Any] | None = None) -> Any:
        """Return a JSON answer; PluginError has the words of ``ops`` where it refuses."""
        return _json(self._ask(method, path, query, body, "application/json"), path)

    def text(
        self, method: str, path: str, width: int | None, query: Query = (), body: Mapping[str, Any] | None = None
    ) -> str:
        """Return an answer as text for a terminal of so many columns; None: nothing is cut."""
        accept = f"text/plain; width={width}" if width else "text/plain"
        text = self._ask(method, path, query, body, accept)
        return "".join(f"{printable(line)}\n" for line in text.splitlines())

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Yield each change of state from when the context is entered until ``ops`` ends it."""
        # It sends a comment every 10 s: a longer silence is a connection that is gone.
        with self._asked("GET", "/events", (), None, "text/event-stream") as answer:
            lines = iter(partial(answer.readline, MAX_EVENT_BYTES), b"")
            yield (_json(line[5:].decode(errors="replace"), "/events") for line in lines if line.startswith(b"data:"))

    def _ask(self, method: str, path: str, query: Query, body: Mapping[str, Any] | None, accept: str) -> str:
        with self._asked(method, path, query, body, accept) as answer:
            data = answer.read(MAX_ANSWER_BYTES + 1)
        if len(data) > MAX_ANSWER_BYTES:
            raise PluginError("the answer is too large: choose fewer")
        return data.decode(errors="replace")

    @contextmanager
    def _asked(
        self, method: str, path: str, query: Query, body: Mapping[str, Any] | None, accept: str
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {"Authorization": f"Bearer {self.token()}", "Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        target = f"{PREFIX}{path}{'?' if query else ''}{urlencode(query)}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT)) as connection:
            try:
                connection.request(method, target, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                if answer.status >= 400:
                    raise PluginError(_refusal(answer), BAD_USAGE if answer.status == 400 else 1)
                yield answer
            except (OSError, http.client.HTTPException) as error:
                raise PluginError(f"ops does not answer: {type(error).__name__} {error}".rstrip()) from None


def _refusal(answer: http.client.HTTPResponse) -> str:
    """Return what ``ops`` says; it names what is missing."""
    text = answer.read(10_000).decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, LookupError, TypeError):
        return f"ops answered {answer.status} {answer.reason}"


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise PluginError(f"{source}: what it answers is not JSON") from None
