"""Real nodes behind TLS with basic auth: a wrong certificate gets no request, and a corrected one works at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.domain.instances import Condition
from controller.settings import RegionSettings, SecretUrl
from controller.tls.context import for_region
from tests.contract.regions import IP, adapter, fresh_app
from tests.stack.authority import Authority
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.parts import eureka_node
from tests.stack.prerequisites import ReportProgress
from tests.tls.front import USER, Front

PASSWORD = "canary-2f7-password"
OTHERS = Authority()


async def test_with_the_right_certificate_and_password_it_is_taken_out(
    eureka_pair: EurekaNodes, fronts: list[Front], authority: Authority, tmp_path: Path
) -> None:
    app = fresh_app()
    for node, front in zip(eureka_pair.nodes, fronts, strict=True):
        await node.registry.register(app, "id-1", ip=IP)
        front.password = PASSWORD
    ca_file = authority.write_ca(tmp_path / "ca.pem")
    urls = [front.url for front in fronts]
    async with adapter(*urls, ca_file=ca_file, username=USER, password=PASSWORD) as region:
        assert await region.take_out(app, "id-1", await region.read(app, "id-1")) == ()
        readings = await region.read(app, "id-1")
    assert [reading.condition for reading in readings] == [Condition.out, Condition.out]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("wrong authority", "signed by an authority that ca_file"),
        ("expired", "the certificate has expired"),
        ("wrong host", "the certificate is for another host"),
    ],
)
async def test_a_wrong_certificate_is_named_and_the_node_used_once_it_is_right(
    eureka_pair: EurekaNodes, fronts: list[Front], authority: Authority, tmp_path: Path, case: str, said: str
) -> None:
    app = fresh_app()
    for node in eureka_pair.nodes:
        await node.registry.register(app, "id-1", ip=IP)
    wrong = fronts[0]
    match case:
        case "wrong authority":
            wrong.certify(OTHERS)
        case "expired":
            wrong.certify(authority, expired=True)
        case _:
            wrong.certify(authority, "eureka-0.eureka")
    ca_file = authority.write_ca(tmp_path / "ca.pem")
    urls = [front.url for front in fronts]
    async with adapter(*urls, ca_file=ca_file, username=USER, password=PASSWORD) as region:
        (refused,) = await region.take_out(app, "id-1", await region.read(app, "id-1"))
        assert (refused.node, refused.condition) == (wrong.url, Condition.unreachable)
        assert said in refused.detail
        first, second = await region.read(app, "id-1")
        assert said in first.detail
        assert second.condition is Condition.out
        assert wrong.passed == []
        wrong.certify(authority)
        assert await region.take_out(app, "id-1", await region.read(app, "id-1")) == ()
        assert [reading.condition for reading in await region.read(app, "id-1")] == [Condition.out, Condition.out]


async def test_a_node_that_serves_https_itself_is_verified_too(
    report_progress: ReportProgress, tmp_path: Path, authority: Authority
) -> None:
    certificate, key = authority.write(tmp_path, "localhost")
    program = await eureka_node(report_progress)
    served = {"server.ssl.certificate": str(certificate), "server.ssl.certificate-private-key": str(key)}
    nodes = EurekaNodes(tmp_path / "node", program, count=1, settings=served, scheme="https")
    (url,) = nodes.urls
    try:
        await nodes.start()
        async with adapter(url, ca_file=authority.write_ca(tmp_path / "ca.pem")) as region:
            assert [reading.condition for reading in await region.read("APP", "id-1")] == [Condition.absent]
        async with adapter(url, ca_file=OTHERS.write_ca(tmp_path / "ca.pem")) as region:
            assert "signed by an authority that ca_file" in (await region.read("APP", "id-1"))[0].detail
        async with adapter(url.replace("https:", "http:")) as region:
            assert (await region.read("APP", "id-1"))[0].detail == "the node expects TLS there: write https://"
    finally:
        await nodes.close()


async def test_a_changed_password_is_denied_until_it_is_renewed(
    eureka_pair: EurekaNodes, fronts: list[Front], authority: Authority, tmp_path: Path
) -> None:
    app = fresh_app()
    ca_file = authority.write_ca(tmp_path / "ca.pem")
    for front in fronts:
        front.password = "the new one"
    urls = [front.url for front in fronts]
    async with adapter(*urls, ca_file=ca_file, username=USER, password="the old one") as region:
        assert {reading.condition for reading in await region.read(app, "id-1")} == {Condition.denied}
        new = RegionSettings.model_validate(
            {"nodes": [SecretUrl(url) for url in urls], "ca_file": ca_file, "username": USER, "password": "the new one"}
        )
        region.rotate_credentials(new, for_region("eu", new))
        assert {reading.condition for reading in await region.read(app, "id-1")} == {Condition.absent}
