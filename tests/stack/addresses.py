"""Free ports and loopback networks that no other run on this machine takes.

A port that is merely free now may be taken by another test run, or by the kernel for an outgoing connection, before
our server binds it. So ports come from below the kernel's ephemeral range, and every port and network is reserved
under a name in the kernel's abstract socket space: the reservation is machine-wide, lasts exactly as long as this
process, and leaves nothing on disk.
"""

import ipaddress
import random
import socket
from pathlib import Path

# A name lives as long as its socket is open; closing a socket of this dictionary would free the name.
_reserved: dict[str, socket.socket] = {}

FIRST_PORT = 20_000


class AddressesExhaustedError(RuntimeError):
    """Nothing free was found; something else holds the whole range."""


def reserve(name: str) -> bool:
    """Take a name for the life of this process; False when somebody else, or we ourselves, hold it."""
    if name in _reserved:
        return False
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(f"\0eureka-drain-{name}")
    except OSError:
        holder.close()
        return False
    _reserved[name] = holder
    return True


def release(name: str) -> None:
    """Give a name back."""
    holder = _reserved.pop(name, None)
    if holder is not None:
        holder.close()


def free_port() -> int:
    """A port that is free on every loopback address, and ours until this process ends."""
    last = _first_ephemeral_port() - 1
    for port in random.sample(range(FIRST_PORT, last), k=min(500, last - FIRST_PORT)):
        if _is_free(port) and reserve(f"port-{port}"):
            return port
    raise AddressesExhaustedError(f"no free port between {FIRST_PORT} and {last}")


def loopback_network() -> ipaddress.IPv4Network:
    """A /16 inside 127.0.0.0/8 for the pods of one node. Linux binds any of its addresses without configuration."""
    for second in random.sample(range(16, 250), k=234):
        if reserve(f"network-127.{second}"):
            return ipaddress.IPv4Network(f"127.{second}.0.0/16")
    raise AddressesExhaustedError("every loopback network is taken by another run")


def _is_free(port: int) -> bool:
    """Whether it can be bound on all addresses, which is what a server that ignores our wish would do."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _first_ephemeral_port() -> int:
    try:
        return max(FIRST_PORT + 1000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    except (OSError, ValueError):
        return 32_768
