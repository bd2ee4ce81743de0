"""The settings of the HTTP port, and of who may see the page."""

from __future__ import annotations

from pydantic import SecretStr, model_validator

from controller.settings.group import SettingsGroup
from controller.settings.values import Names, OptionalPort, OwnHost, PageHosts, PageUrl, Port, Token


class HttpSettings(SettingsGroup):
    """Health and metrics of every role, and the page of ``ops``."""

    host: OwnHost = "0.0.0.0"  # noqa: S104 - a probe comes from the node
    """The address to listen at; 0.0.0.0 is every address of this machine."""
    port: Port = 8080
    """0: any free one."""
    metrics_port: OptionalPort = None
    """Where ``/metrics`` is served, and nothing else; 0: any free port. Its labels name regions, namespaces and
    workloads, which whoever may reach the page need not learn. Unset: at ``http.port``, beside everything else."""


class OpsSettings(SettingsGroup):
    """Who may see the page of ``ops`` and use its API."""

    kubernetes: bool = True
    """Ask the API server whose a bearer token is (TokenReview) and what its user may (SubjectAccessReview): the verb
    ``get`` on ``drains.eureka.drain`` to read, ``create`` on ``replays.eureka.drain`` to write. A ClusterRole grants
    them; neither resource needs to exist."""
    audiences: Names = ["eureka-drain"]
    """A Kubernetes token must be meant for one of these, as by ``kubectl create token NAME --audience eureka-drain``:
    it opens nothing else, wherever it gets to. Empty: for the API server itself, as an identity provider's are; then
    whoever reads such a token here could use it there."""
    hosts: PageHosts = []
    """Names that browsers reach the page by, such as an ingress's: ``drain.example.com``. Addresses, names without a
    dot, and those below ``.svc`` and ``.svc.cluster.local`` need not be named; what is sent to another name is refused
    with 421. ``*``: any name, which lets a page from elsewhere read what ``ops.anonymous_read`` shows."""
    url: PageUrl = ""
    """Where people reach the page, for example ``https://drain.example.com``: each Kubernetes Event then links to its
    drain. Empty: no link."""
    viewer_token: Token = SecretStr("")
    """May read; for use outside a cluster; 16 to 3,500 characters, best kept in a secret (``ops__viewer_token``).
    Empty: no such token."""
    operator_token: Token = SecretStr("")
    """May read and write; must differ from ``viewer_token``. Empty: no such token."""
    anonymous_read: bool = False
    """True: everybody who reaches the port may read. Nobody ever writes without a token."""
    trust_forwarded: bool = False
    """Believe ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` when a browser's origin is checked: only behind a proxy
    that overwrites both. Behind a proxy that ends TLS, browsers can neither sign in nor write without it."""

    @model_validator(mode="after")
    def _require_different_tokens(self) -> OpsSettings:
        viewer, operator = self.viewer_token.get_secret_value(), self.operator_token.get_secret_value()
        if viewer and viewer == operator:
            raise ValueError("viewer_token and operator_token must differ: one of them may write")
        return self
