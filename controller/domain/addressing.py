"""What can be named in a URL of the registry, and what a region may be called.

Measured on a real server: an id with ``/`` is answered 400 by the servlet container, and ``.`` or ``..`` make most
clients ask for another URL. Everything else works when it is quoted as one path segment.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

MAX_SEGMENT_LENGTH = 512
"""Characters; real instance ids stay below 200, a servlet container's request line ends at 8,192 bytes."""
MAX_REMEMBERED = 64
"""Texts of registrations that each cache keeps with what was made of them: one look asks some ten times, and then come
others. Whoever registers writes them: what is longer than ``bounds.MAX_TEXT_LENGTH`` is cut, or refused, before.
"""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_SPELLED = re.compile(r"(?:ip-)?(\d{1,3}(?:-\d{1,3}){3})(?:\.|$)", re.ASCII)
_IN_URL = re.compile(r"\[([^\[\]]*)\](?::\d+)?|([\d.]+):\d+", re.ASCII)
_NOT_PLAIN = re.compile(r"[:\s]")
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def unaddressable(segment: str) -> str | None:
    """Say why this app or instance id cannot be put into a URL; None when it can.

    >>> unaddressable("10.0.0.1:orders:8080")
    >>> unaddressable("a/b")
    "contains '/', which the registry's servlet container refuses"
    """
    if not segment:
        return "is empty"
    if len(segment) > MAX_SEGMENT_LENGTH:
        return f"is longer than {MAX_SEGMENT_LENGTH} characters"
    if segment in (".", ".."):
        return f"is {segment!r}, which names another URL"
    for char in "/\\":
        if char in segment:
            return f"contains {char!r}, which the registry's servlet container refuses"
    if _CONTROL.search(segment):
        return "contains a control character"
    return None


def is_region_name(name: str) -> bool:
    """Return true for lower-case letters, digits, inner hyphens, at most 63: it becomes part of a routing key."""
    return _REGION.fullmatch(name) is not None


def canonical_address(text: str) -> str:
    """Write an IP address in its short form: Java writes IPv6 in full and with a scope. Other text stays as it is.

    >>> canonical_address("FD00:0:0:0:0:0:1:7%eth0")
    'fd00::1:7'
    """
    return (address_in(text) or text) if _NOT_PLAIN.search(text) else text


@lru_cache(MAX_REMEMBERED)
def address_in(text: str) -> str:
    """Return the IP address that a text is, in its short form; empty where it is none, such as a host name.

    Brackets, blanks and a port count for nothing: they come from URLs, and from `hostname -I`.

    >>> address_in("FD00:0:0:0:0:0:1:7%eth0"), address_in("::ffff:10.1.0.7"), address_in("orders-0")
    ('fd00::1:7', '10.1.0.7', '')
    >>> address_in("[fd00:10::7]:8080"), address_in("10.1.0.7 "), address_in("10.1.0.7:8080")
    ('fd00:10::7', '10.1.0.7', '10.1.0.7')
    """
    found = _IN_URL.fullmatch(text.strip())
    bare = (found[1] or found[2]) if found else text.strip()
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def address_spelled_by(host_name: str) -> str:
    """Return the IPv4 address that a cloud's, or a cluster's, name of an address means; empty where it is none.

    >>> address_spelled_by("ip-10-1-0-7.ec2.internal"), address_spelled_by("10-1-0-7.shop.pod.cluster.local")
    ('10.1.0.7', '10.1.0.7')
    """
    found = _SPELLED.match(host_name.lower())
    return address_in(found[1].replace("-", ".")) if found else ""


@lru_cache(MAX_REMEMBERED)
def is_local_address(text: str) -> bool:
    """Return true for an empty, unspecified or loopback address: any machine may say that of itself."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return not text
    return address.is_loopback or address.is_unspecified
