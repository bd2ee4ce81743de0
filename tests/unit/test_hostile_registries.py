"""A node that answers without measure is gone without, by name; it costs little, and takes no other node with it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from controller.domain.instances import Instance
from controller.eureka.region import EurekaRegion
from controller.settings import RegionSettings
from tests.fakes.held_loop import longest_callback, peak_memory
from tests.fakes.hostile_server import Answer, Said, hostile_server
from tests.unit.building import a_pod
from tests.unit.registries import a_list

GOOD = b"".join(a_list(10))
ANY_TIME = datetime.min.replace(tzinfo=UTC)


def packed(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS + 16)
    return b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])


def answering(body: bytes, encoding: str = "gzip") -> Answer:
    """One node that answers this, beside one that is as it should be."""

    def answer(path: str, _: dict[str, str], __: str) -> Said:
        return Said([body], {"Content-Encoding": encoding}) if path.startswith("/bad") else Said([GOOD])

    return answer


def region_at(url: str) -> EurekaRegion:
    nodes = {"nodes": [f"{url}/bad/eureka", f"{url}/good/eureka"]}
    return EurekaRegion("eu", RegionSettings.model_validate(nodes), clock=lambda: datetime.now(UTC))


async def found_in(region: EurekaRegion) -> tuple[list[str], str]:
    """What is found beside the bad node, and what is reported of that."""
    match = await region.find(a_pod(ip="10.1.0.7"), not_before=ANY_TIME)
    await region.survey()
    candidates: tuple[Instance, ...] = match.candidates
    return sorted(one.id for one in candidates), "; ".join(map(str, match.missing))


LIST = b'{"applications":{"apps__hashcode":"UP_1_","application":[{"instance":['
BOMBS = {
    "60 MB of instances": lambda: packed(a_list(220_000, hostName="x" * 80)),
    "200 MB of brackets": lambda: packed([b'{"applications":{"application":', *[b"[" * 2**20] * 200]),
    "60 MB of empty objects": lambda: packed([LIST, *[b"{}," * 2**18] * 80, b"{}]}]}}"]),
    "60 MB of one text": lambda: packed([LIST, b'{"app":"', *[b"x" * 2**20] * 60, b'"}]}]}}']),
    "60 MB of one instance": lambda: packed(
        [LIST, b'{"app":"A","metadata":{', *[b'"a":"b",' * 2**17] * 60, b'"a":""}}]}]}}']
    ),
    "60 MB beside instances": lambda: packed([b'{"applications":{"x":[', *[b"0," * 2**19] * 60, b"0]}}"]),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_few_bytes_that_unpack_to_many_cost_little(bomb: str) -> None:
    body = BOMBS[bomb]()
    with hostile_server(answering(body)) as url:
        async with region_at(url) as region, longest_callback() as held:
            found, missing = await found_in(region)
        held.check()
        async with region_at(url) as region:
            with peak_memory() as peak:
                await found_in(region)
    assert peak.megabytes < 60
    assert found == [f"orders-{number}" for number in range(10)]
    assert f"{url}/bad/eureka: " in missing
    print(f"\nS3, {bomb} in {len(body)} bytes: held {1000 * held.seconds:.0f} ms, {peak.megabytes:.0f} MB; {missing}")


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (packed([GOOD])[:-4], "gzip", "breaks off"),
        (packed([GOOD]) + b"more", "gzip", "goes on after its end"),
        (GOOD, "gzip", "not what gzip writes"),
        (zlib.compress(GOOD), "deflate", "packed otherwise than by gzip"),
        (b"x", "br", "packed otherwise than by gzip"),
    ],
)
async def test_what_is_not_packed_as_asked_for_is_refused(body: bytes, encoding: str, why: str) -> None:
    with hostile_server(answering(body, encoding)) as url:
        async with region_at(url) as region:
            found, missing = await found_in(region)
    assert len(found) == 10
    assert why in missing


async def test_an_honest_answer_is_unpacked() -> None:
    with hostile_server(answering(packed([GOOD]))) as url:
        async with region_at(url) as region:
            assert (await found_in(region))[1] == ""
            assert [one.counted for one in await region.survey()] == ["UP_1_"] * 2
