"""Types of settings: durations, URLs, names, tokens; each with its check, whose message never contains a secret."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr

from controller.domain.addressing import is_region_name, unaddressable
from controller.domain.annotations import TEMPLATE_FIELDS
from controller.domain.durations import format_duration, parse_duration

_USERINFO = re.compile(r"//.*@", re.DOTALL)
"""Up to the last @: a password with @ or / in it must not show its end."""
_USERINFO_IN_TEXT = re.compile(r"//\S*@")
MAX_PAGE_URL_LENGTH = 200
MIN_TOKEN_LENGTH = 16
"""Characters: what cannot be guessed at the rate that a server answers."""
MAX_STATIC_TOKEN_LENGTH = 3_500
"""Characters: some proxies take no header of more than 4 KiB."""


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
        """The URL without user and password."""
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
    text = url.get_secret_value()
    if re.search(r"[\x00-\x20\x7f]", text):  # the library would leave some of these out without a word
        raise ValueError("a URL has no blank and no line break, nor at its end; several are divided by commas")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        usable = usable and "@" not in parts.path + parts.query and not parts.fragment
    except ValueError:
        usable = False
    if usable:
        return url
    if text.partition("://")[0] in schemes and "@" in text:
        # A password with such a mark ends the host's name: what is left of it would be looked up as one.
        raise ValueError("write / as %2F, ? as %3F, # as %23 and @ as %40 in user and password, or set both apart")
    starts = " or ".join(f"{scheme}://" for scheme in schemes)
    raise ValueError(f"not a URL that starts with {starts} and names a host")


def _check_host(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        usable = bool(parts.hostname) and parts.netloc == host and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[^!-~]|@|:$", host):
        raise ValueError("write each as host or host:port; an IPv6 address in brackets; user and password apart")
    return host


def _check_node(url: SecretUrl) -> SecretUrl:
    _check_url(url, ("http", "https"))
    text = url.get_secret_value()
    if "?" in text or "#" in text:
        raise ValueError("a node's URL has neither query nor fragment, and no @ in its path")
    return SecretUrl(text.rstrip("/"))


def _check_collector(text: str) -> str:
    if text:
        _check_url(SecretUrl(text), ("http", "https"))
        if "@" in text:
            raise ValueError("a collector's URL holds no user and no password")
    return text


def _check_page(text: str) -> str:
    if text and (len(text) > MAX_PAGE_URL_LENGTH or re.search(r"[?@]", text)):
        raise ValueError("a page's URL is short, and holds no user, no password and no query")
    if text:
        _check_url(SecretUrl(text), ("http", "https"))
    return text


def _check_own_host(host: str) -> str:
    usable = re.fullmatch(r"[\w.-]+", host, re.ASCII) is not None
    if ":" in host:
        with suppress(ValueError):
            usable = bool(ip_address(host))
    if not usable:
        raise ValueError("write an address or a host's name alone: no port, and no brackets around an IPv6 address")
    return host


def _check_page_host(name: str) -> str:
    if name != "*" and not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", name, re.ASCII | re.IGNORECASE):
        raise ValueError("write each name alone, such as drain.example.com: no scheme, no port; * stands for any name")
    return name


def _check_namespace(name: str) -> str:
    if name == "*":
        raise ValueError("a list that is empty means all namespaces: write []")
    return _check_label(name, "namespace")  # Kubernetes has the same rule


def _check_region(name: str) -> str:
    return _check_label(name, "region")


def _check_label(name: str, whose: str) -> str:
    if not is_region_name(name):
        rule = "lower-case letters, digits and inner hyphens, at most 63"
        raise ValueError(f"{name[:63]!r} is not a {whose}'s name: {rule}")
    return name


def _check_app(name: str) -> str:
    if why := unaddressable(name):
        raise ValueError(f"{name[:60]!r} cannot be a Eureka app's name: it {why}")
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


def _check_token(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    fits = MIN_TOKEN_LENGTH <= len(text) <= MAX_STATIC_TOKEN_LENGTH
    if text and not (fits and text.isascii() and text.isprintable() and " " not in text):
        lengths = f"{MIN_TOKEN_LENGTH} to {MAX_STATIC_TOKEN_LENGTH}"
        raise ValueError(f"a token has {lengths} visible ASCII characters, for example from: openssl rand -hex 32")
    return token


def _in_upper_case(apps: Any) -> Any:
    """Return the map with its keys in upper case, as Eureka has the names of apps."""
    if not isinstance(apps, dict):
        return apps
    folded: dict[Any, Any] = {}
    for name, value in apps.items():
        key = name.upper() if isinstance(name, str) else name
        if key in folded:
            raise ValueError(f"{str(key)[:60]!r} is there twice: upper and lower case are the same")
        folded[key] = value
    return folded


def _split(value: Any) -> Any:
    """Return the list that a text such as ``a,b`` stands for."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("write a whole number")  # which Python takes true and false for
    return value


Commas = BeforeValidator(_split)
"""Let a list come from the environment as ``a,b``."""
AppKeys = BeforeValidator(_in_upper_case)
Masked = PlainSerializer(str, return_type=str)
"""Dump a URL with its host and without its credentials."""

Duration = Annotated[timedelta, BeforeValidator(_read_duration), PlainSerializer(format_duration, return_type=str)]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
OptionalDuration = Annotated[
    timedelta | None,
    BeforeValidator(lambda value: _read_duration(value) if value not in (None, "") else None),
    PlainSerializer(lambda value: None if value is None else format_duration(value), return_type=str | None),
]
EmptyAsUnset = BeforeValidator(lambda value: None if value == "" else value)
Port = Annotated[int, BeforeValidator(_no_switch), Field(ge=0, le=65_535)]
OptionalPort = Annotated[Port | None, EmptyAsUnset]
OptionalFile = Annotated[Path | None, EmptyAsUnset]
Names = Annotated[list[str], Commas]
NamespaceName = Annotated[str, AfterValidator(_check_namespace)]
NamespaceNames = Annotated[list[NamespaceName], Commas]
OwnHost = Annotated[str, AfterValidator(_check_own_host)]
PageHosts = Annotated[list[Annotated[str, AfterValidator(_check_page_host)]], Commas]
PageUrl = Annotated[str, AfterValidator(_check_page)]
RegionName = Annotated[str, AfterValidator(_check_region)]
RegionNames = Annotated[
    list[Annotated[str, AfterValidator(lambda name: name if name == "*" else _check_region(name))]], Commas
]
"""Names of regions; ``*`` stands for all of them."""
AppName = Annotated[str, AfterValidator(_check_app)]
Networks = Annotated[list[Annotated[str, AfterValidator(_check_network)]], Commas]
Templates = Annotated[list[Annotated[str, AfterValidator(_check_template)]], Commas]
BrokerUrl = Annotated[SecretUrl, AfterValidator(lambda url: _check_url(url, ("amqp", "amqps"))), Masked]
Hosts = Annotated[list[Annotated[str, AfterValidator(_check_host)]], Commas, Field(max_length=16)]
NodeUrls = Annotated[list[Annotated[SecretUrl, AfterValidator(_check_node), Masked]], Commas, Field(min_length=1)]
CollectorUrl = Annotated[str, AfterValidator(_check_collector)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
