"""Nodes over https: a certificate that is not the node's own is reported in the reading, and nothing is sent."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.domain.instances import Condition
from controller.errors import RegistryError, SettingsError
from controller.settings import RegionSettings, SecretUrl
from controller.tls.context import for_region
from tests.contract.regions import adapter
from tests.contract.silly_server import SillyServer, saying
from tests.stack.authority import Authority

OURS, OTHERS = Authority(), Authority()
PASSWORD = "canary-71c3-password"


def server_context(
    folder: Path, authority: Authority = OURS, host: str = "127.0.0.1", *, expired: bool = False
) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.write(folder, host, expired=expired))
    return context


WRONG: dict[str, tuple[Callable[[Path], ssl.SSLContext], str]] = {
    "wrong authority": (lambda f: server_context(f, OTHERS), "signed by an authority that ca_file"),
    "expired": (lambda f: server_context(f, expired=True), "the certificate has expired"),
    "wrong host": (lambda f: server_context(f, host="eureka-0.eureka"), "the certificate is for another host"),
}


async def test_a_node_with_the_right_certificate_is_read(tmp_path: Path) -> None:
    ca_file = OURS.write_ca(tmp_path / "ca.pem")
    async with SillyServer(tls=server_context(tmp_path)) as server, adapter(server.url, ca_file=ca_file) as region:
        (reading,) = await region.read("APP", "id")
        assert reading.condition is Condition.absent


@pytest.mark.parametrize(("server", "said"), WRONG.values(), ids=WRONG)
async def test_a_wrong_certificate_is_named_everywhere_and_gets_no_password(
    tmp_path: Path, server: Callable[[Path], ssl.SSLContext], said: str
) -> None:
    ca_file = OURS.write_ca(tmp_path / "ca.pem")
    async with SillyServer(tls=server(tmp_path)) as node:
        async with adapter(node.url, ca_file=ca_file, username="ana", password=PASSWORD) as region:
            (reading,) = await region.read("APP", "id")
            assert (reading.condition, reading.node) == (Condition.unreachable, node.url)
            assert said in reading.detail
            (refused,) = await region.take_out("APP", "id", (reading,))
            assert said in refused.detail
            (state,) = await region.survey()
            assert not state.reachable
            assert said in state.detail
            with pytest.raises(RegistryError, match=said):
                await region.everything()
        assert node.requests == []
        assert node.authorizations == []


async def test_without_a_ca_file_a_private_authority_is_not_believed(tmp_path: Path) -> None:
    async with SillyServer(tls=server_context(tmp_path)) as server, adapter(server.url) as region:
        (reading,) = await region.read("APP", "id")
        assert "signed by an authority that ca_file (without it, the system) does not hold" in reading.detail
        assert server.requests == []


async def test_https_to_a_port_for_plain_text_is_reported(tmp_path: Path) -> None:
    async with SillyServer() as server, adapter(server.url.replace("http:", "https:")) as region:
        (reading,) = await region.read("APP", "id")
        assert reading.detail == "the server does not speak TLS there: is it the port for plain text?"
        assert server.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "Bad Request\nThis combination of host and port requires TLS.\n",
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
        "Client sent an HTTP request to an HTTPS server.",
    ],
    ids=["Tomcat", "nginx", "Go"],
)
async def test_plain_text_to_a_port_for_https_is_reported(text: str) -> None:
    async with SillyServer(saying(text, status=400)) as server, adapter(server.url) as region:
        (reading,) = await region.read("APP", "id")
        assert reading.detail == "the node expects TLS there: write https://"


async def test_a_ca_file_that_cannot_be_used_opens_no_region(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"regions\.eu\.ca_file: cannot read"):
        async with adapter("https://127.0.0.1:1/eureka", ca_file=tmp_path / "none.pem"):
            raise AssertionError("opened")


async def test_a_renewed_authority_and_password_hold_from_the_next_request_on(tmp_path: Path) -> None:
    ca_file = OURS.write_ca(tmp_path / "ca.pem")
    async with SillyServer(tls=server_context(tmp_path, OTHERS)) as server:
        async with adapter(server.url, ca_file=ca_file, username="ana", password="old") as region:
            assert (await region.read("APP", "id"))[0].condition is Condition.unreachable
            OTHERS.write_ca(ca_file)
            new = RegionSettings(nodes=[SecretUrl(server.url)], ca_file=ca_file, username="ana", password="new")  # type: ignore[arg-type]
            region.rotate_credentials(new, for_region("eu", new))
            assert (await region.read("APP", "id"))[0].condition is Condition.absent
        assert set(server.authorizations) == {"Basic YW5hOm5ldw=="}


async def test_a_connection_of_an_old_authority_is_not_used_under_a_new_one(tmp_path: Path) -> None:
    ca_file = OURS.write_ca(tmp_path / "ca.pem")
    async with SillyServer(tls=server_context(tmp_path)) as server, adapter(server.url, ca_file=ca_file) as region:
        assert (await region.read("APP", "id"))[0].condition is Condition.absent
        OTHERS.write_ca(ca_file)
        new = RegionSettings(nodes=[SecretUrl(server.url)], ca_file=ca_file)
        region.rotate_credentials(new, for_region("eu", new))
        assert "signed by an authority" in (await region.read("APP", "id"))[0].detail
