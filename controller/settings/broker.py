"""How the broker is reached: one URL, or hosts with a user and a password of their own."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, model_validator

from controller.settings.group import SettingsGroup
from controller.settings.values import BrokerUrl, Hosts, OptionalFile, PositiveDuration, SecretUrl

AMQP_PORT, AMQPS_PORT = 5672, 5671


class BrokerSettings(SettingsGroup):
    """RabbitMQ."""

    url: BrokerUrl = SecretUrl("amqp://guest:guest@127.0.0.1:5672/")
    """``amqp://`` or ``amqps://``, with user, password and virtual host; best kept in a secret (``broker__url``)."""
    hosts: Hosts = []
    """Instead of ``url``: each as ``host`` or ``host:port``, tried in turn. TLS at port 5671, and at every host where
    ``ca_file`` or ``cert_file`` is set."""
    username: SecretStr = SecretStr("")
    """With ``hosts``, or in place of the URL's; may come from a secret of its own (``broker__username``)."""
    password: SecretStr = SecretStr("")
    """Likewise; best kept in a secret (``broker__password``)."""
    vhost: str = ""
    """Likewise: the virtual host. Empty: the URL's; with ``hosts``, ``/``."""
    ca_file: OptionalFile = None
    """PEM file of the authorities that may sign the broker's certificate, for ``amqps://``. Unset: the system's."""
    cert_file: OptionalFile = None
    """PEM file of our own certificate and its chain, for a broker that asks for one. Needs ``key_file``."""
    key_file: OptionalFile = None
    """PEM file of the private key of ``cert_file``, without a passphrase."""
    timeout: PositiveDuration = timedelta(seconds=5)
    """For connecting, and for the confirmation of one publish. During a broker's alarm there are none."""
    events_kept: PositiveDuration = timedelta(days=30)
    """Age at which the event log and the stream of pods' ends forget; replay reaches no further back. Takes effect when
    the streams are first declared."""
    event_lookback: PositiveDuration = timedelta(days=1)
    """How far back the event log is read at start. The watch may have been down for so long, and a pod that took over a
    drained id meanwhile is still put back in service."""

    @model_validator(mode="after")
    def _require_both_files(self) -> BrokerSettings:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: set both, or none")
        return self

    @model_validator(mode="after")
    def _require_url_or_hosts(self) -> BrokerSettings:
        if self.hosts and self.url != type(self).model_fields["url"].default:
            raise ValueError("url and hosts are two ways to write the same: set one of them")
        if self.hosts and self.password.get_secret_value() and not self.username.get_secret_value():
            raise ValueError("password needs a username")
        return self

    @property
    def urls(self) -> list[SecretUrl]:
        """Where the broker is, to be tried in turn."""
        places = map(self._place, self.hosts) if self.hosts else [self.url.get_secret_value()]
        return [self._complete(place) for place in places]

    def _place(self, host: str) -> str:
        port = urlsplit(f"//{host}").port
        secure = bool(self.ca_file or self.cert_file) or port == AMQPS_PORT
        usual = AMQPS_PORT if secure else AMQP_PORT
        return f"{'amqps' if secure else 'amqp'}://{host if port else f'{host}:{usual}'}/"

    def _complete(self, url: str) -> SecretUrl:
        """Return the URL with user, password and virtual host, where these are set on their own."""
        parts = urlsplit(url)
        login, _, place = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        user = quote(self.username.get_secret_value(), safe="") or user
        password = quote(self.password.get_secret_value(), safe="") or password
        login = f"{user}:{password}@" if user else ""
        path = f"/{quote(self.vhost, safe='')}" if self.vhost else parts.path
        return SecretUrl(parts._replace(netloc=login + place, path=path).geturl())
