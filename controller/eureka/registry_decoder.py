"""From a server's JSON to instances.

Codecs differ: field names in two spellings, numbers as text, one item in place of a list.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from controller.bounds import KIB, MAX_INSTANCE_BYTES, MAX_POD_UID_LENGTH, MAX_STATUS_PAGE_LENGTH, MAX_TEXT_LENGTH
from controller.domain.addressing import canonical_address
from controller.domain.arrivals import Arrival
from controller.domain.instances import STOCK_LEASE, STOCK_RENEWAL_INTERVAL, Instance
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
    enabled: bool | str | None = msgspec.field(name="@enabled", default=None)


class _Lease(msgspec.Struct, rename="camel"):
    renewal_interval_in_secs: int | str | None = None
    duration_in_secs: int | str | None = None
    registration_timestamp: int | str | None = None
    last_renewal_timestamp: int | str | None = None
    service_up_timestamp: int | str | None = None


class _Instance(msgspec.Struct, rename="camel"):
    app: str
    instance_id: str = ""
    host_name: str = ""
    ip_addr: str = ""
    status: str = "UNKNOWN"
    overridden_status: str | None = None
    lower_case_override: str | None = msgspec.field(name="overriddenstatus", default=None)
    port: _EurekaPort | None = None
    secure_port: _EurekaPort | None = None
    lease_info: _Lease | None = None
    last_dirty_timestamp: int | str | None = None
    last_updated_timestamp: int | str | None = None
    metadata: Any = None


class _One(msgspec.Struct):
    instance: _Instance


class _App(msgspec.Struct):
    instance: list[_Instance] | _Instance = msgspec.field(default_factory=list)


class _OneApp(msgspec.Struct):
    application: _App


CONTRADICTORY_POD_UID = "?"
"""In place of two different uids in one registration's metadata: equal to no pod's, so that it is nobody's."""
_POD_UID_KEY = re.compile("[-_.]*".join(["", *"poduid", ""]), re.ASCII | re.IGNORECASE)
_POD_UID = re.compile(rf"[0-9a-z]{{1,{MAX_POD_UID_LENGTH}}}", re.ASCII)
_IGNORED_IN_POD_UID = str.maketrans("", "", "-_.")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_one = msgspec.json.Decoder(_One)
_one_app = msgspec.json.Decoder(_OneApp)
_registration = msgspec.json.Decoder(_Instance)


def decode_instance(body: bytes, clock_ahead: timedelta = timedelta(0)) -> Instance:
    """Read the answer about one instance, from a node whose clock is so far ahead; NonsenseError when it is none."""
    if len(body) > MAX_INSTANCE_BYTES:
        raise NonsenseError(f"an instance of more than {MAX_INSTANCE_BYTES // KIB} KiB")
    found = decoded(_one, body).instance
    instance = _instance(found, clock_ahead)
    if instance.renewed_at is None:
        raise NonsenseError("an instance without lease times")
    return instance


def decode_registration(body: bytes, clock_ahead: timedelta = timedelta(0)) -> Instance:
    """Read one instance of a list, which may lack its lease."""
    return _instance(decoded(_registration, body), clock_ahead)


def decode_arrivals(body: bytes, clock_ahead: timedelta = timedelta(0)) -> tuple[Arrival, ...]:
    """Read the answer about one app: those of its instances that say UP, and since when."""
    found = decoded(_one_app, body).application.instance
    arrivals = []
    for one in found if isinstance(found, list) else [found]:
        instance = _instance(one, clock_ahead)
        if instance.is_up:
            up_at = _time(one.lease_info.service_up_timestamp) if one.lease_info else None
            arrivals.append(
                Arrival(
                    app=instance.app,
                    id=instance.id,
                    registered_at=instance.registered_at,
                    up_at=up_at - clock_ahead if up_at else None,
                )
            )
    return tuple(arrivals)


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


def decoded(decoder: Any, body: bytes) -> Any:
    """Decode an answer; NonsenseError when it is not what a registry says."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NonsenseError(f"not a registry's JSON ({str(error)[:120]})") from error


def _instance(found: _Instance, clock_ahead: timedelta) -> Instance:
    """Take out what a drain needs. An index holds very many: what they have alike is one object for all of them."""
    lease = found.lease_info or _Lease()
    registered_at, updated_at = _time(lease.registration_timestamp), _time(found.last_updated_timestamp)
    return Instance(
        app=_upper(found.app),
        # A client that sets no id is known by its host name.
        id=_cut(found.instance_id or found.host_name),
        ip=_cut(canonical_address(found.ip_addr)),
        host_name=_cut(found.host_name),
        # Where nothing is written about it, a plain port is one, and a TLS port is not.
        port=_port(found.port, is_usual=True),
        secure_port=_port(found.secure_port, is_usual=False),
        pod_uid=pod_uid_of(found.metadata),
        status=_upper(found.status),
        override=_upper(found.overridden_status or found.lower_case_override or "UNKNOWN"),
        registered_at=registered_at - clock_ahead if registered_at else None,
        dirty_at=_time(found.last_dirty_timestamp),
        updated_at=updated_at - clock_ahead if updated_at else None,
        clock_ahead=clock_ahead,
        renewed_at=_time(lease.last_renewal_timestamp),
        renewal_interval=_seconds(lease.renewal_interval_in_secs) or STOCK_RENEWAL_INTERVAL,
        lease=_seconds(lease.duration_in_secs) or STOCK_LEASE,
    )


@lru_cache(64)
def _seconds(value: int | str | None) -> timedelta | None:
    """Read what lasts less than a day; many have it alike."""
    seconds = whole_number(value)
    return timedelta(seconds=seconds) if seconds and 0 < seconds < 86_400 else None


def _upper(text: str) -> str:
    """Write what many have alike in upper case, bounded."""
    return sys.intern(_cut(text.upper()))


def _cut(text: str) -> str:
    """Bound a text. One character too many is kept of a longer one: it cannot be addressed, and is no other's name."""
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH + 1]


def _port(found: _EurekaPort | None, *, is_usual: bool) -> int:
    """Return a port that somebody can be reached at; 0 where it is disabled."""
    if found is None:
        return 0
    is_enabled = is_usual if found.enabled is None else str(found.enabled).lower() == "true"
    number = whole_number(found.number) or 0
    return number if is_enabled and 0 < number < 65_536 else 0


def pod_uid_of(metadata: Any) -> str:
    """Return the pod's uid that metadata tell, however the key and the uid are written.

    What is no uid, such as a placeholder that nobody filled in, tells none.
    """
    if not isinstance(metadata, dict):
        return ""
    uids = {
        uid
        for key, value in metadata.items()
        if _POD_UID_KEY.fullmatch(key)
        and isinstance(value, str)
        and _POD_UID.fullmatch(uid := value.lower().translate(_IGNORED_IN_POD_UID))
    }
    return uids.pop() if len(uids) == 1 else CONTRADICTORY_POD_UID if uids else ""


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
