"""The settings in their groups: type, unit, and why this default.

The docstrings here and in ``page`` are the only text about settings: docs/configuration.md, config/controller.yaml and
``eureka-drain config --comments`` repeat them (``make docs``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from controller.domain.shutdown.window import STOCK
from controller.settings.broker import BrokerSettings
from controller.settings.group import SettingsGroup
from controller.settings.page import HttpSettings, OpsSettings
from controller.settings.values import (
    AppKeys,
    AppName,
    CollectorUrl,
    Duration,
    NamespaceName,
    NamespaceNames,
    Networks,
    NodeUrls,
    OptionalDuration,
    OptionalFile,
    PositiveDuration,
    RegionName,
    RegionNames,
    Templates,
)


class RegionSettings(SettingsGroup):
    """Eureka regions by name: lower-case letters, digits and inner hyphens."""

    nodes: NodeUrls
    """Every node of the region, and no load balancer: a write that is left to replication may be lost for good."""
    username: SecretStr = SecretStr("")
    """For basic authentication at every node; may also stand in each node's URL."""
    password: SecretStr = SecretStr("")
    """Belongs to ``username``; best kept in a secret (``regions__eu__password``)."""
    ca_file: OptionalFile = None
    """PEM file of the authorities that may sign the nodes' certificates, for ``https://``. Unset: the system's."""
    timeout: PositiveDuration = timedelta(seconds=3)
    """For one request to one node. A healthy node answers in milliseconds, a large registry in a second or two. A node
    that lets a request time out is waited for only briefly, until it answers in time again."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Requests at a time to one node."""


class WatchSettings(SettingsGroup):
    """Which pods are watched."""

    cluster: Annotated[str, Field(min_length=1, max_length=200)] = "default"
    """Part of every drain's id: clusters that share a broker need different names."""
    namespaces: NamespaceNames = []
    """Empty: all."""
    exclude_namespaces: NamespaceNames = ["kube-system"]
    """Never watched, also where ``watch.namespaces`` names them."""
    label_selector: str = ""
    """As kubectl's ``--selector``; reduces the API server's load more than any other setting. Empty: all pods."""
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Pods in one page of a list; a page of 500 is about 6 MB."""
    kubernetes_events: bool = True
    """Report drains and shutdown verdicts as Kubernetes Events of the pods (``kubectl describe pod``); needs the verb
    ``create`` on events. Without it only these Events are missing."""
    nodes: bool = True
    """Watch the cluster's nodes too, and drain the pods of one that says that it is shutting down; needs the verbs
    ``list`` and ``watch`` on nodes. Without it these pods are drained only when their node has ended them."""

    @property
    def scopes(self) -> list[str]:
        """The namespaces to list and watch, each once; one empty name for all of them."""
        if not self.namespaces:
            return [""]
        return [name for name in dict.fromkeys(self.namespaces) if name not in self.exclude_namespaces]

    @model_validator(mode="after")
    def _require_a_namespace(self) -> WatchSettings:
        if not self.scopes:
            raise ValueError("every namespace of watch.namespaces is also in watch.exclude_namespaces")
        return self


class RoutingSettings(SettingsGroup):
    """The regions that a pod's command goes to, unless the annotation ``eureka.drain/region`` says otherwise."""

    default_regions: RegionNames = []
    """Empty: every configured region."""
    namespaces: Annotated[dict[NamespaceName, RegionNames], Field(examples=[{"shop": ["eu"]}])] = {}
    """The regions of the pods of one namespace."""
    other_regions: Literal["refuse", "send"] = "refuse"
    """What becomes of a drain for a region that only the pod's annotation names: ``refuse`` records why; ``send``
    leaves it in ``drain.unrouted`` for up to a day, until a worker of that region starts."""


class SweepSettings(SettingsGroup):
    """What one pass over the registry does with an instance that has no living pod."""

    policy: Literal["report", "drain"] = "report"
    """``report`` names it; ``drain`` takes it out of service where its pod is proved dead."""
    pod_cidrs: Networks = []
    """Addresses that can only have been this cluster's pods, for example 10.0.0.0/16; the event log is evidence too."""


class GuardSettings(SettingsGroup):
    """What a replay, the sweep or a command by hand may take out. A pod that is really dying is always drained."""

    last_instance: bool = True
    """Refuse to take out an app's last instance that is UP: no other could serve."""
    max_percent_per_minute: Annotated[int, Field(ge=0, le=100)] = 25
    """Share of one app's instances, but at least one instance; the rest waits. 0: no limit."""


class RetrySettings(SettingsGroup):
    """How often and how long a drain is tried while something stands in the way."""

    max_backoff: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=15)
    """Between two attempts; a healed node is used again within this time."""
    give_up_after: PositiveDuration = timedelta(hours=1)
    """Then the drain goes to the dead letters. A dead instance's lease ends after 180-240 s, but self-preservation may
    keep it for longer."""


class WorkSettings(SettingsGroup):
    """The Eureka side."""

    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Commands of one region that a process works on at a time: as many go out of service before any is proved."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Instances of one region that are written at a time; more makes each of them slower, and none quicker."""


class WindowOverrideSettings(SettingsGroup):
    """What differs for one app or one region; what is not set is as for all."""

    server_cache: OptionalDuration = None
    """Of the region's nodes."""
    client_fetch: OptionalDuration = None
    """Of the slowest caller."""
    load_balancer: OptionalDuration = None
    """Of the slowest caller."""


class WindowSettings(SettingsGroup):
    """How long callers may still call a drained instance from what they have cached.

    The three caches add up, since each is filled from the one before it; the request in flight comes on top.
    ``doctor --pods`` and the shutdown verdicts use this window. A pod may set its own: annotation
    ``eureka.drain/window``. Sources and measurements: docs/window.md.
    """

    server_cache: Duration = STOCK.usual.server_cache
    """Age of a Eureka node's answer: ``eureka.server.response-cache-update-interval-ms``, 30 s unless it is set. Used
    for nodes that do not report it themselves."""
    client_fetch: Duration = STOCK.usual.client_fetch
    """Between a caller's fetches: ``eureka.client.registry-fetch-interval-seconds``, 30 s unless it is set."""
    load_balancer: Duration = STOCK.usual.load_balancer
    """Age of a caller's list of instances: ``spring.cloud.loadbalancer.cache.ttl``, 35 s unless it is set. With Ribbon
    it is ``ribbon.ServerListRefreshInterval``, 30 s."""
    regions: Annotated[dict[RegionName, WindowOverrideSettings], Field(examples=[{"eu": {"server_cache": "5s"}}])] = {}
    """Regions with a window of their own."""
    apps: Annotated[
        dict[AppName, WindowOverrideSettings],
        AppKeys,
        Field(examples=[{"ORDERS": {"client_fetch": "5s", "load_balancer": "5s"}}]),
    ] = {}
    """Apps with a window of their own, by their name in Eureka; upper and lower case are the same. They take precedence
    over their region's."""


class LogSettings(SettingsGroup):
    """What is written to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """What is less important than this is left out."""
    format: Literal["auto", "text", "json"] = "auto"
    """``auto``: text on a terminal, else JSON."""


class TracingSettings(SettingsGroup):
    """OpenTelemetry, with the extra ``tracing``: one trace a drain, from the watch to the DELETE."""

    endpoint: CollectorUrl = ""
    """Where an OTLP/HTTP collector listens, for example http://collector:4318. Empty: no traces."""


class Settings(SettingsGroup):
    """Everything that can be set."""

    broker: BrokerSettings = BrokerSettings()
    regions: Annotated[
        dict[RegionName, RegionSettings],
        Field(examples=[{"eu": {"nodes": [f"http://eureka-{number}.eureka:8761/eureka" for number in (0, 1)]}}]),
    ] = {}
    watch: WatchSettings = WatchSettings()
    routing: RoutingSettings = RoutingSettings()
    instance_id_templates: Templates = []
    """Tried in order for instances younger than the registry's response cache (30 s), which only their id can find:
    ``["{ip}:{app}:{port}", "{hostname}:{app}:{port}"]``. ``{app}`` is the annotation ``eureka.drain/app``, else the
    label ``app.kubernetes.io/name`` or ``app``; ``{port}`` the annotation ``eureka.drain/port``, else the pod's only
    declared port."""
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
    grace period."""

    @model_validator(mode="after")
    def _require_known_regions(self) -> Settings:
        known = {*self.regions, *self.routing.default_regions}
        known.update(name for names in self.routing.namespaces.values() for name in names)
        for name in self.window.regions:
            if name not in known and "*" not in known:
                raise ValueError(f"window.regions: {name!r} is no region of these settings; name it under regions, too")
        return self
