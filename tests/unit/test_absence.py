"""Which 404 is a registry's word, and that it is asked for a proof no more often than needed."""

from __future__ import annotations

import asyncio
import json

import pytest

from controller.errors import RegistryError
from controller.eureka.absence import PROOF_LIFETIME, RegistryProof, may_be_a_registrys_404
from controller.eureka.registry_decoder import NonsenseError
from tests.fakes.virtual_time import in_virtual_time

PATH = "/apps/SHOP/a%20b/status?value=OUT_OF_SERVICE"
BOOT = {
    "timestamp": "2026-11-28T05:00:03Z",
    "status": 404,
    "error": "Not Found",
    "path": "/eureka/apps/SHOP/a b/status",
}
TOMCAT = "<!doctype html><html lang='en'><head><title>HTTP Status 404 – Not Found</title></head></html>"


@pytest.mark.parametrize(
    "body",
    [
        "",
        " \r\n",
        json.dumps(BOOT),
        json.dumps({**BOOT, "path": "/eureka/apps/SHOP/a%20b/status"}),
        json.dumps({**BOOT, "path": "/behind/a/proxy/apps/SHOP/a%20b/status"}),
        json.dumps({**BOOT, "message": "No message available"}),
    ],
)
def test_a_servers_404_may_be_a_registrys(body: str) -> None:
    assert may_be_a_registrys_404(body.encode(), PATH)


@pytest.mark.parametrize(
    "body",
    [
        "default backend - 404",
        "404 page not found\n",
        "<html><head><title>404 Not Found</title></head><center>nginx</center></html>",
        json.dumps({**BOOT, "path": "/apps/OTHER/status"}),
        json.dumps({**BOOT, "requestId": "6d1b4a7e-1"}),
        json.dumps({**BOOT, "status": 503}),
        json.dumps({"message": "no Route matched with those values"}),
        json.dumps({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}),
        TOMCAT,
        "[]",
        "null",
        "[" * 50_000,
        "\udcff",
    ],
)
def test_a_proxys_or_a_gateways_404_is_not(body: str) -> None:
    assert not may_be_a_registrys_404(body.encode("utf-8", "surrogateescape"), PATH)


class Asked:
    """A node that is asked for a list, which takes a moment."""

    def __init__(self, *, is_registry: bool = True) -> None:
        self.is_registry = is_registry
        self.count = 0
        self.proof = RegistryProof(self._ask)

    async def _ask(self) -> None:
        self.count += 1
        await asyncio.sleep(0.1)
        if not self.is_registry:
            raise RegistryError("a wrong path")


@in_virtual_time
async def test_many_readers_ask_for_one_proof() -> None:
    asked = Asked()
    await asyncio.gather(*(asked.proof.demand() for _ in range(50)))
    assert asked.count == 1
    await asyncio.sleep(PROOF_LIFETIME)
    await asked.proof.demand()
    assert asked.count == 2


@in_virtual_time
async def test_many_readers_share_a_failure_and_the_next_one_asks_again() -> None:
    asked = Asked(is_registry=False)
    results = await asyncio.gather(*(asked.proof.demand() for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {NonsenseError}
    assert "a wrong path" in str(results[-1])
    assert asked.count == 1
    asked.is_registry = True
    await asyncio.sleep(0.1)
    await asked.proof.demand()


@in_virtual_time
async def test_a_list_that_was_shown_is_proof_for_a_while() -> None:
    asked = Asked()
    asked.proof.note()
    await asyncio.sleep(PROOF_LIFETIME - 0.1)
    await asked.proof.demand()
    assert asked.count == 0


@in_virtual_time
async def test_a_reader_that_is_cancelled_leaves_the_question_to_the_next() -> None:
    asked = Asked()
    first, second = (asyncio.create_task(asked.proof.demand()) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await second
    assert asked.count == 2
