"""From a server's JSON to instances.

Codecs differ: field names in two spellings, numbers as text, one item in place of a list.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from controller.domain.addressing import canonical_address
from controller.domain.instances import STOCK_RENEWAL_INTERVAL, Instance
from controller.domain.reason import ReasonCode
from controller.errors import RegistryError


class NonsenseError(RegistryError):
    """The answer is not what a registry says."""

    code = ReasonCode.bad_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """A node's own words on its peers, each as ``host:port``, and the names by which it knows itself."""

    registered: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


class _EurekaPort(msgspec.Struct):
    number: int | str = msgspec.field(name="$", default=0)


class _Lease(msgspec.Struct, rename="camel"):
    renewal_interval_in_secs: int | str | None = None
    registration_timestamp: int | str | None = None
    last_renewal_timestamp: int | str | None = None


class _Instance(msgspec.Struct, rename="camel"):
    app: str
    instance_id: str = ""
    host_name: str = ""
    ip_addr: str = ""
    status: str = "UNKNOWN"
    overridden_status: str | None = None
    lower_case_override: str | None = msgspec.field(name="overriddenstatus", default=None)
    port: _EurekaPort | None = None
    lease_info: _Lease | None = None


class _One(msgspec.Struct):
    instance: _Instance


class _Application(msgspec.Struct):
    instance: list[_Instance] | _Instance = msgspec.field(default_factory=list)


class _Applications(msgspec.Struct):
    application: list[_Application] | _Application = msgspec.field(default_factory=list)


class _All(msgspec.Struct):
    applications: _Applications


class _Fingerprint(msgspec.Struct):
    counted: str = msgspec.field(name="apps__hashcode")


class _Counted(msgspec.Struct):
    applications: _Fingerprint


MAX_STATUS_PAGE_LENGTH = 64 * 1024
"""Characters; a real one has 2 kB."""
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_one = msgspec.json.Decoder(_One)
_all = msgspec.json.Decoder(_All)
_counted = msgspec.json.Decoder(_Counted)
_loose = msgspec.json.Decoder(dict[str, Any])


def decode_instance(body: bytes) -> Instance:
    """Read the answer about one instance; NonsenseError when it is none."""
    found = _decoded(_one, body).instance
    instance = _instance(found)
    if instance.renewed_at is None:
        raise NonsenseError("an instance without lease times")
    return instance


def decode_all(body: bytes) -> list[Instance]:
    """Read the whole registry; an instance that cannot be read is left out, so that it does not hide the others."""
    try:
        return _instances(_decoded(_all, body).applications)
    except NonsenseError:
        readable = _readable_instances(_decoded(_loose, body))
        if not readable:
            raise
        return readable


def decode_fingerprint(body: bytes) -> str:
    """Read how many instances of each status a server counts, as it writes that itself: ``DOWN_1_UP_7_``."""
    counted: str = _decoded(_counted, body).applications.counted
    return counted


def decode_peers(body: bytes) -> Peers:
    """Read a node's status page (XML). NonsenseError when it is none.

    By patterns and not by a parser: it is one flat page, and a parser follows entities that a hostile server writes.
    """
    text = body[:MAX_STATUS_PAGE_LENGTH].decode("utf-8", errors="replace")
    if "registered-replicas" not in text:
        raise NonsenseError("not a status page")
    port = _element(text, "port")
    own = [f"{host}:{port}" for name in ("hostName", "ipAddr") if (host := _element(text, name))] if port else []
    return Peers(
        registered=_hosts(_element(text, "registered-replicas")),
        unavailable=_hosts(_element(text, "unavailable-replicas")),
        own=tuple(own),
    )


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}(?: [^<>]{{0,100}})?>([^<>]*)</{name}>", text)
    return found[1].strip() if found else ""


def _hosts(urls: str) -> tuple[str, ...]:
    parts = (url.strip() for url in urls.split(","))
    return tuple(dict.fromkeys(host_of(url) for url in parts if url))


def host_of(url: str) -> str:
    """``host:port`` of a URL, without credentials.

    >>> host_of("http://user:secret@localhost:8761/eureka/")
    'localhost:8761'
    """
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].lower()


def _instances(applications: _Applications) -> list[Instance]:
    return [
        _instance(found)
        for application in _as_list(applications.application)
        for found in _as_list(application.instance)
    ]


def _readable_instances(everything: dict[str, Any]) -> list[Instance]:
    """Return the slow way, one by one."""
    applications = everything.get("applications")
    readable: list[Instance] = []
    for application in _as_list(applications.get("application", []) if isinstance(applications, dict) else []):
        for found in _as_list(application.get("instance", []) if isinstance(application, dict) else []):
            with suppress(msgspec.ValidationError):
                readable.append(_instance(msgspec.convert(found, _Instance)))
    return readable


def _decoded(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NonsenseError(f"not a registry's JSON ({str(error)[:120]})") from error


def _as_list(thing: Any) -> list[Any]:
    return thing if isinstance(thing, list) else [thing]


def _instance(found: _Instance) -> Instance:
    lease = found.lease_info or _Lease()
    interval = whole_number(lease.renewal_interval_in_secs)
    return Instance(
        app=found.app.upper(),
        # A client that sets no id is known by its host name.
        id=found.instance_id or found.host_name,
        ip=canonical_address(found.ip_addr),
        host_name=found.host_name,
        port=whole_number(found.port.number if found.port else 0) or 0,
        status=found.status.upper(),
        override=(found.overridden_status or found.lower_case_override or "UNKNOWN").upper(),
        registered_at=_time(lease.registration_timestamp),
        renewed_at=_time(lease.last_renewal_timestamp),
        renewal_interval=timedelta(seconds=interval) if interval and 0 < interval < 86_400 else STOCK_RENEWAL_INTERVAL,
    )


def whole_number(value: int | str | None) -> int | None:
    """Return a number as codecs write it; None for anything else."""
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    return value


def _time(value: int | str | None) -> datetime | None:
    milliseconds = whole_number(value)
    if not milliseconds or not 0 < milliseconds < 32_503_680_000_000:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
