"""RabbitMQ over TLS, with client certificates: right settings connect, wrong ones are the link's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.errors import BrokerError
from controller.rabbit.dead_letter_queue import RabbitDeadLetterQueue
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings, SecretUrl
from controller.tls.context import for_broker
from tests.contract.brokers import a_channel, command_for, fresh_region, next_of
from tests.stack.authority import Authority
from tests.stack.waiting import until
from tests.tls.conftest import SecureBroker

OTHERS = Authority()


def settings_for(secured: SecureBroker, folder: Path, **given: Any) -> BrokerSettings:
    """The product's settings as they should be, but for what is given."""
    folder.mkdir(exist_ok=True)
    certificate, key = secured.authority.write(folder, "worker")
    right: dict[str, Any] = {
        "url": SecretUrl(secured.url()),
        "ca_file": secured.authority.write_ca(folder / "ca.pem"),
        "cert_file": certificate,
        "key_file": key,
        "timeout": timedelta(seconds=5),
    }
    return BrokerSettings(**{**right, **given})


@asynccontextmanager
async def an_outbox(settings: BrokerSettings, region: str) -> AsyncIterator[RabbitOutbox]:
    """An outbox whose link runs, up or not."""
    outbox = RabbitOutbox(settings=settings, regions=[region])
    running = asyncio.create_task(outbox.link.run())
    try:
        yield outbox
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def trouble_with(settings: BrokerSettings) -> str:
    """Why the link does not come up."""
    async with an_outbox(settings, fresh_region()) as outbox:
        await until(lambda: outbox.link.up or outbox.link.trouble, "up, or trouble", timeout=30)
        assert not outbox.link.up
        return outbox.link.trouble


async def test_with_the_right_certificates_a_command_arrives(secure_broker: SecureBroker, tmp_path: Path) -> None:
    region = fresh_region()
    async with an_outbox(settings_for(secure_broker, tmp_path), region) as outbox:
        await outbox.send(command_for(region))
    async with a_channel(secure_broker.broker) as channel:
        await next_of(channel, f"drain.commands.{region}")


SAID: Mapping[str, str] = {
    "wrong authority": "signed by an authority that ca_file",
    "wrong host": "the certificate is for another host",
    # The broker's closing of the connection may overtake what it says of our certificate.
    "no client certificate": "client certificate",
    "a stranger's client certificate": "client certificate",
    "an expired client certificate": "client certificate",
    "TLS to the plain port": "the server does not speak TLS there",
    "plain text to the TLS port": "does it expect TLS there?",
    "wrong password": "the broker refuses the user or the password",
    "a file that is gone": "broker.ca_file: cannot read",
}


@pytest.mark.parametrize("case", SAID)
async def test_what_is_wrong_is_the_links_trouble_in_one_plain_line(
    secure_broker: SecureBroker, tmp_path: Path, case: str
) -> None:
    secured = secure_broker
    plain = SecretUrl(secured.url().replace("amqps:", "amqp:"))
    port = str(secured.broker.tls_port)
    match case:
        case "wrong authority":
            given: dict[str, Any] = {"ca_file": OTHERS.write_ca(tmp_path / "other.pem")}
        case "wrong host":
            given = {"url": SecretUrl(secured.url(host="127.0.0.1"))}
        case "no client certificate":
            given = {"cert_file": None, "key_file": None}
        case "a stranger's client certificate":
            given = dict(zip(("cert_file", "key_file"), OTHERS.write(tmp_path / "x", "worker"), strict=True))
        case "an expired client certificate":
            expired = secured.authority.write(tmp_path / "x", "worker", expired=True)
            given = dict(zip(("cert_file", "key_file"), expired, strict=True))
        case "TLS to the plain port":
            given = {"url": SecretUrl(secured.url().replace(port, str(secured.broker.port)))}
        case "plain text to the TLS port":
            given = {"url": plain}
        case "wrong password":
            given = {"url": SecretUrl(secured.url(password="canary-5d1"))}
        case _:
            given = {"ca_file": tmp_path / "gone.pem"}
    said = await trouble_with(settings_for(secured, tmp_path, **given))
    assert SAID[case] in said
    assert said.isprintable()
    assert "_ssl.c" not in said
    assert "guest:" not in said
    assert "canary-5d1" not in said


async def test_an_expired_certificate_is_reported_and_replaced_without_restart(
    secure_broker: SecureBroker, tmp_path: Path
) -> None:
    region = fresh_region()
    await secure_broker.certify(secure_broker.authority, expired=True)
    try:
        settings = settings_for(secure_broker, tmp_path)
        async with an_outbox(settings, region) as outbox:
            await until(lambda: outbox.link.trouble, "trouble", timeout=30)
            assert outbox.link.trouble == "the certificate has expired"
            held = RabbitDeadLetterQueue(settings=settings, region=region)
            with pytest.raises(BrokerError, match=r"cannot be read \(the certificate has expired\)"):
                await held.hold()
            await secure_broker.certify(secure_broker.authority)
            await until(lambda: outbox.link.up, "up", timeout=30)
    finally:
        await secure_broker.certify(secure_broker.authority)


async def test_renewed_credentials_are_used_at_the_next_connect_only(
    secure_broker: SecureBroker, tmp_path: Path
) -> None:
    wrong = settings_for(secure_broker, tmp_path / "wrong", ca_file=OTHERS.write_ca(tmp_path / "other.pem"))
    right = settings_for(secure_broker, tmp_path / "right")
    region = fresh_region()
    async with an_outbox(wrong, region) as outbox:
        await until(lambda: outbox.link.trouble, "trouble", timeout=30)
        outbox.link.rotate_credentials(right, for_broker(right))
        await until(lambda: outbox.link.up, "up", timeout=30)
        outbox.link.rotate_credentials(wrong, for_broker(wrong))
        await outbox.send(command_for(region))
        outbox.link.give_up("to see what comes next")
        await until(lambda: not outbox.link.up and outbox.link.trouble, "trouble again", timeout=30)
