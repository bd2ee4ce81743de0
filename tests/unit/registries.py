"""Lists of instances, as nodes write them, and read as a region reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from controller.bounds import PIECE_BYTES
from controller.domain.instances import Instance
from controller.eureka.registry_reader import RegistryList, RegistryReader

PLENTY = 10**12
LIST = b'{"applications":{"versions__delta":"1","apps__hashcode":"UP_1_","application":[%s]}}'


def registry_read(body: bytes, *, piece: int = PIECE_BYTES, room: int | None = PLENTY) -> RegistryList:
    """What a reader makes of this body, when it comes in such pieces."""
    reader = RegistryReader(room=room)
    for begin in range(0, len(body), piece):
        reader.feed(body[begin : begin + piece])
    return reader.finish()


def read_all(body: bytes) -> list[Instance]:
    """The instances of a list."""
    return registry_read(body).instances


def an_entry(number: int = 0, **fields: Any) -> bytes:
    """One registration."""
    lease = {"registrationTimestamp": 1748775600000, "lastRenewalTimestamp": 1748779200000}
    whole = {
        "instanceId": f"orders-{number}",
        "app": "ORDERS",
        "ipAddr": "10.1.0.7",
        "status": "UP",
        "leaseInfo": lease,
    }
    return json.dumps({**whole, **fields}).encode()


def a_list(count: int, **fields: Any) -> Iterator[bytes]:
    """A list of so many, piece by piece."""
    before, _, after = LIST.partition(b"%s")
    yield before + b'{"name":"ORDERS","instance":['
    for number in range(count):
        yield (b"," if number else b"") + an_entry(number, **fields)
    yield b"]}" + after
