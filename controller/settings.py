"""The settings and their groups: type, unit, and why this default. ``config/controller.yaml`` is their reference.

Secrets are secrets from the moment they are read: URLs keep their user and password from every print.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    model_validator,
)

from controller.domain.addressing import is_region_name, unaddressable
from controller.domain.annotations import TEMPLATE_FIELDS
from controller.domain.durations import format_duration, parse_duration
from controller.domain.shutdown.window import STOCK

_USERINFO = re.compile(r"//.*@", re.DOTALL)
"""Up to the last @: a password with @ or / in it must not show its end."""
_USERINFO_IN_TEXT = re.compile(r"//\S*@")
MIN_TOKEN_LENGTH = 16
"""Characters: what cannot be guessed at the rate that a server answers."""
MAX_COOKIE_LENGTH = 3_500
"""Characters: browsers drop a cookie that is longer than 4096 bytes, and say nothing."""


def without_credentials(text: str) -> str:
    """Mask the user and password of every URL in a text.

    >>> without_credentials("cannot reach amqp://guest:guest@broker:5672/")
    'cannot reach amqp://***@broker:5672/'
    """
    return _USERINFO_IN_TEXT.sub("//***@", text)


class SecretUrl(SecretStr):
    """A URL whose user and password are never printed."""

    @property
    def place(self) -> str:
        """Where it leads, without user and password."""
        return _USERINFO.sub("//", self.get_secret_value())

    def _display(self) -> str:
        return _USERINFO.sub("//***@", self.get_secret_value())


def _read_duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("write a duration as a number and a unit: 500ms, 30s, 5m, 2h, 30d")
    return parse_duration(value)


def _check_url(url: SecretUrl, schemes: tuple[str, ...]) -> SecretUrl:
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            f"not a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)} and names a host"
        )
    return url


def _check_node(url: SecretUrl) -> SecretUrl:
    _check_url(url, ("http", "https"))
    text = url.get_secret_value()
    if "?" in text or "#" in text or "@" in urlsplit(text).path:
        raise ValueError("a node's URL has neither query nor fragment, and no @ in its path")
    return SecretUrl(text.rstrip("/"))


def _check_region(name: str) -> str:
    if not is_region_name(name):
        raise ValueError(
            f"{name[:63]!r} is not a region's name: lower-case letters, digits and inner hyphens, at most 63"
        )
    return name


def _check_network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is not a network like 10.0.0.0/16 ({error})") from error


def _check_template(template: str) -> str:
    for field in re.findall(r"\{([^{}]*)\}", template):
        if field not in TEMPLATE_FIELDS:
            raise ValueError(f"unknown field {{{field[:40]}}}; known are {', '.join(TEMPLATE_FIELDS)}")
    if not template:
        raise ValueError("an empty template")
    return template


def _check_endpoint(text: str) -> str:
    if text:
        _check_url(SecretUrl(text), ("http", "https"))
        if "@" in text:
            raise ValueError("a collector's URL holds no user and no password")
    return text


def _check_token(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if text and not (
        MIN_TOKEN_LENGTH <= len(text) <= MAX_COOKIE_LENGTH and text.isascii() and text.isprintable() and " " not in text
    ):
        raise ValueError(
            f"a token has {MIN_TOKEN_LENGTH} to {MAX_COOKIE_LENGTH} visible ASCII characters, for example "
            "from: openssl rand -hex 32"
        )
    return token


def _check_default_region(name: str) -> str:
    return name if name == "*" else _check_region(name)


def _fold_apps(value: Any) -> Any:
    """Eureka's apps are the same in upper and lower case, so that each may be there once."""
    if not isinstance(value, dict):
        return value
    folded: dict[Any, Any] = {}
    for name, window in value.items():
        key = name.upper() if isinstance(name, str) else name
        if key in folded:
            raise ValueError(f"{str(key)[:60]!r} is there twice: upper and lower case are the same")
        folded[key] = window
    return folded


def _check_app(name: str) -> str:
    if why := unaddressable(name):
        raise ValueError(f"{name[:60]!r} cannot be a Eureka app's name: it {why}")
    return name


def _split(value: Any) -> Any:
    """A list may come from the environment as ``a,b``."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_read_duration), PlainSerializer(format_duration, return_type=str)]
OwnDuration = Annotated[
    timedelta | None,
    BeforeValidator(lambda value: None if value is None or value == "" else _read_duration(value)),
    PlainSerializer(lambda value: None if value is None else format_duration(value), return_type=str | None),
]
"""One that may be left empty, for what holds for all."""
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
RegionName = Annotated[str, AfterValidator(_check_region)]
Names = Annotated[list[str], BeforeValidator(_split)]
Regions = Annotated[list[Annotated[str, AfterValidator(_check_default_region)]], BeforeValidator(_split)]
Masked = PlainSerializer(str, return_type=str)
"""``eureka-drain config`` shows where a URL leads, and nobody's credentials."""
BrokerUrl = Annotated[SecretUrl, AfterValidator(lambda url: _check_url(url, ("amqp", "amqps"))), Masked]
NodeUrl = Annotated[SecretUrl, AfterValidator(_check_node), Masked]
StaticToken = Annotated[SecretStr, AfterValidator(_check_token)]


class SettingsGroup(BaseModel):
    """Unknown keys are errors, and values are not shown in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BrokerSettings(SettingsGroup):
    """RabbitMQ."""

    url: BrokerUrl = SecretUrl("amqp://guest:guest@127.0.0.1:5672/")
    """amqp:// or amqps://, with user, password and virtual host."""
    ca_file: Path | None = None
    """PEM file of the authorities of which one signed the broker's certificate; for amqps://. None: the system's."""
    cert_file: Path | None = None
    """PEM file of our own certificate, and what leads from it to its authority, for a broker that asks for one."""
    key_file: Path | None = None
    """PEM file of its private key, without a passphrase."""
    timeout: PositiveDuration = timedelta(seconds=5)
    """For connecting, and for the confirmation of one publish. During a broker's alarm confirms do not come at all."""
    events_kept: PositiveDuration = timedelta(days=30)
    """Age at which the event log forgets, and the stream of pods' ends; replay reaches no further back. Taken when the
    streams are first declared."""
    event_lookback: PositiveDuration = timedelta(days=1)
    """How far back the event log is read at start: for so long nobody may have watched, and a pod that took over a
    drained id meanwhile is still put back in service."""

    @model_validator(mode="after")
    def _has_a_key_to_its_certificate(self) -> BrokerSettings:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: set both, or none")
        return self


class RegionSettings(SettingsGroup):
    """One Eureka region."""

    nodes: Annotated[list[NodeUrl], BeforeValidator(_split), Field(min_length=1)]
    """Every node of the region: a write that is left to replication may be lost for good."""
    username: SecretStr = SecretStr("")
    """For basic authentication at every node; it may also stand in each node's URL."""
    password: SecretStr = SecretStr("")
    """Belongs to the user name."""
    ca_file: Path | None = None
    """PEM file of the authorities of which one signed the nodes' certificates; for https://. None: the system's."""
    timeout: PositiveDuration = timedelta(seconds=3)
    """For one request to one node. A healthy node answers in milliseconds."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Requests under way at one node."""


class WatchSettings(SettingsGroup):
    """Which pods are watched."""

    cluster: Annotated[str, Field(min_length=1, max_length=200)] = "default"
    """Part of every drain's id: clusters that share a broker need different names."""
    namespaces: Names = []
    """Empty: all."""
    exclude_namespaces: Names = ["kube-system"]
    """Left alone, also where `watch.namespaces` names them."""
    label_selector: str = ""
    """As kubectl's --selector; the best lever on the API server's load. Empty: all pods."""
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Pods in one page of a list; one page of 500 is about 6 MB."""
    kubernetes_events: bool = True
    """Tell pods what became of their drains, and how they left, as Kubernetes Events; needs the verb create on events.
    Without it nothing but these Events is missing."""

    @property
    def scopes(self) -> list[str]:
        """The namespaces to list and watch, each once; one empty name for all of them."""
        if not self.namespaces:
            return [""]
        return [name for name in dict.fromkeys(self.namespaces) if name not in self.exclude_namespaces]

    @model_validator(mode="after")
    def _leaves_something(self) -> WatchSettings:
        if not self.scopes:
            raise ValueError("every namespace of watch.namespaces is also in watch.exclude_namespaces")
        return self


class RoutingSettings(SettingsGroup):
    """Which regions a pod's command goes to, when its annotation does not say."""

    default_regions: Regions = []
    """Empty: every configured region."""
    namespaces: dict[str, Regions] = {}
    """The regions of the pods of one namespace."""


class SweepSettings(SettingsGroup):
    """What one pass over the registry may do."""

    policy: Literal["report", "drain"] = "report"
    """drain: take out of service what has been proved to be a dead pod's."""
    pod_cidrs: Annotated[list[Annotated[str, AfterValidator(_check_network)]], BeforeValidator(_split)] = []
    """Addresses that can only have been this cluster's pods; the event log is evidence too."""


class GuardSettings(SettingsGroup):
    """What a replay, the sweep or a command by hand may take out. A pod that is really dying is always drained."""

    last_instance: bool = True
    """Refuse to take out an app's last instance that is UP: nobody would be left to serve it."""
    max_percent_per_minute: Annotated[int, Field(ge=0, le=100)] = 25
    """Of one app, one instance at least; what is more waits. 0: no limit."""


class RetrySettings(SettingsGroup):
    """How long something that stands in the way is waited for."""

    max_backoff: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=15)
    """Between two attempts; a healed node is used again within this time."""
    give_up_after: PositiveDuration = timedelta(hours=1)
    """Then the drain goes to the dead letters. A dead instance's lease ends after 180-240 s, but self-preservation may
    keep it for longer."""


class WorkSettings(SettingsGroup):
    """The Eureka side."""

    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Commands of one region that one process takes at a time: so many go out of service before the first is proved."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Instances of one region that are written at a time; more makes each of them slower, and none quicker."""


class WindowOverrideSettings(SettingsGroup):
    """What differs for one Eureka app, or one region, and for those who call there; what is not set is as for all."""

    server_cache: OwnDuration = None
    """Of the region's nodes."""
    client_fetch: OwnDuration = None
    """Of the slowest of those who call there."""
    load_balancer: OwnDuration = None
    """Of the slowest of those who call there."""


class WindowSettings(SettingsGroup):
    """How long callers may go on calling a drained instance, from what they have cached.

    The three add up, for each cache is filled from the one before it. The request in flight comes on top. Sources, and
    what was measured: docs/window.md. A pod may say it for itself: annotation ``eureka.drain/window``.
    """

    server_cache: Duration = STOCK.usual.server_cache
    """Age of what a Eureka node answers: ``eureka.server.response-cache-update-interval-ms``, 30 s unless it is set.
    A worker asks the nodes for it, and goes by what they tell; this is for those that do not."""
    client_fetch: Duration = STOCK.usual.client_fetch
    """Between a caller's fetches: ``eureka.client.registry-fetch-interval-seconds``, 30 s unless it is set."""
    load_balancer: Duration = STOCK.usual.load_balancer
    """Age of a caller's list of instances: ``spring.cloud.loadbalancer.cache.ttl``, 35 s unless it is set. With Ribbon
    it is ``ribbon.ServerListRefreshInterval``, 30 s."""
    regions: dict[RegionName, WindowOverrideSettings] = {}
    """Regions with a window of their own."""
    apps: Annotated[
        dict[Annotated[str, AfterValidator(_check_app)], WindowOverrideSettings], BeforeValidator(_fold_apps)
    ] = {}
    """Apps with a window of their own, by their name in Eureka; upper and lower case do not matter. They go before
    their region's."""


class HttpSettings(SettingsGroup):
    """Health, metrics, and the page of ``ops``."""

    host: str = "0.0.0.0"  # noqa: S104 - a probe comes from the node
    """The address to listen at; 0.0.0.0 is every address of this machine."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """0: any free one."""


class OpsSettings(SettingsGroup):
    """Who may see the page of ``ops`` and use its API."""

    kubernetes: bool = True
    """Ask the API server whose a token is, and what its user may: ``get`` on ``drains.eureka.drain`` to read,
    ``create`` on ``replays.eureka.drain`` to write."""
    audiences: Names = []
    """Of which a Kubernetes token must be meant for one. Empty: for the API server itself, as kubectl's are."""
    viewer_token: StaticToken = SecretStr("")
    """May read; for use outside a cluster; 16 to 3,500 characters. Empty: no such token."""
    operator_token: StaticToken = SecretStr("")
    """May read and write; differs from the viewer's. Empty: no such token."""
    anonymous_read: bool = False
    """True: everybody who reaches the port may read. Nobody ever writes without a token."""
    trust_forwarded: bool = False
    """Believe ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` when a browser's origin is checked: only behind a proxy
    that overwrites both."""

    @model_validator(mode="after")
    def _tells_the_tokens_apart(self) -> OpsSettings:
        viewer, operator = self.viewer_token.get_secret_value(), self.operator_token.get_secret_value()
        if viewer and viewer == operator:
            raise ValueError("viewer_token and operator_token must differ: one of them may write")
        return self


class LogSettings(SettingsGroup):
    """What is written to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """What is less important than this is left out."""
    format: Literal["auto", "text", "json"] = "auto"
    """auto: text on a terminal, else JSON."""


class TracingSettings(SettingsGroup):
    """OpenTelemetry, when the extra ``tracing`` is installed."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = ""
    """Where an OTLP/HTTP collector listens, for example http://collector:4318. Empty: no traces."""


class Settings(SettingsGroup):
    """Everything that can be set."""

    broker: BrokerSettings = BrokerSettings()
    regions: dict[RegionName, RegionSettings] = {}
    watch: WatchSettings = WatchSettings()
    routing: RoutingSettings = RoutingSettings()
    instance_id_templates: Annotated[
        list[Annotated[str, AfterValidator(_check_template)]], BeforeValidator(_split)
    ] = []
    """Tried in order for pods that name their app; for instances younger than the server's response cache."""
    sweep: SweepSettings = SweepSettings()
    guard: GuardSettings = GuardSettings()
    retention: Duration = timedelta(minutes=5)
    """From the pod's end (or its deadline) to the DELETE: time to look at what happened, and to undo it."""
    remove: bool = True
    """False: only take out of service, and leave the rest to the lease."""
    retry: RetrySettings = RetrySettings()
    work: WorkSettings = WorkSettings()
    window: WindowSettings = WindowSettings()
    http: HttpSettings = HttpSettings()
    ops: OpsSettings = OpsSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    shutdown_timeout: PositiveDuration = timedelta(seconds=15)
    """At SIGTERM, what is in flight may finish for this long; the rest goes back to the broker. Keep it below the pod's
    grace."""

    @model_validator(mode="after")
    def _has_windows_of_known_regions_only(self) -> Settings:
        known = {*self.regions, *self.routing.default_regions}
        known.update(name for names in self.routing.namespaces.values() for name in names)
        for name in self.window.regions:
            if name not in known and "*" not in known:
                raise ValueError(f"window.regions: {name!r} is no region of these settings; name it under regions, too")
        return self
