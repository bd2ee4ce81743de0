"""What goes wrong between a client and a server that speak TLS, or only one of them: real handshakes, explained."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from controller.tls.trouble import explain
from tests.stack.authority import Authority

OURS, OTHERS = Authority(), Authority()


def a_server(
    folder: Path, authority: Authority = OURS, *hosts: str, expired: bool = False, asks: Authority | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.write(folder / "server", *(hosts or ("127.0.0.1",)), expired=expired))
    if asks is not None:
        context.load_verify_locations(cadata=asks.pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def a_client(folder: Path, shows: Authority | None = None, *, expired: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=OURS.pem.decode())
    if shows is not None:
        context.load_cert_chain(*shows.write(folder / "client", "client", expired=expired))
    return context


def explained(server: ssl.SSLContext | None, client: ssl.SSLContext) -> str:
    """Explain one exchange, in memory; empty if it succeeds. ``server`` None: a server without TLS."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    theirs = server.wrap_bio(to_server, to_client, server_side=True) if server else None
    if theirs is None:
        to_client.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    for _ in range(10):
        try:
            with suppress(ssl.SSLWantReadError):
                ours.do_handshake()
                # From TLS 1.3 on, the server checks our certificate after our part of the handshake.
                if ours.read(5) == b"hello":
                    return ""
        except OSError as error:
            return explain(error)
        with suppress(ssl.SSLError):
            if theirs is not None:
                theirs.do_handshake()
                theirs.write(b"hello")
    raise AssertionError("neither a greeting nor an error")


CASES: dict[str, tuple[Callable[[Path], ssl.SSLContext | None], Callable[[Path], ssl.SSLContext], str]] = {
    "right": (a_server, a_client, ""),
    "right, with a client certificate": (lambda f: a_server(f, asks=OURS), lambda f: a_client(f, OURS), ""),
    "wrong authority": (lambda f: a_server(f, OTHERS), a_client, "signed by an authority that ca_file"),
    "expired": (lambda f: a_server(f, expired=True), a_client, "the certificate has expired"),
    "another address": (lambda f: a_server(f, OURS, "127.0.0.2"), a_client, "the certificate is for another host"),
    "another name": (lambda f: a_server(f, OURS, "localhost"), a_client, "the certificate is for another host"),
    "no client certificate": (lambda f: a_server(f, asks=OURS), a_client, "asked for: set cert_file and key_file"),
    "a stranger's client certificate": (
        lambda f: a_server(f, asks=OURS),
        lambda f: a_client(f, OTHERS),
        "our client certificate is not accepted",
    ),
    "an expired client certificate": (
        lambda f: a_server(f, asks=OURS),
        lambda f: a_client(f, OURS, expired=True),
        "our client certificate has expired",
    ),
    "TLS where plain text is expected": (lambda _: None, a_client, "is it the port for plain text?"),
}


@pytest.mark.parametrize(("server", "client", "expected"), CASES.values(), ids=CASES)
def test_each_way_to_miss_each_other_has_its_own_words(
    tmp_path: Path,
    server: Callable[[Path], ssl.SSLContext | None],
    client: Callable[[Path], ssl.SSLContext],
    expected: str,
) -> None:
    text = explained(server(tmp_path), client(tmp_path))
    assert (expected in text) if expected else (text == ""), text
    assert "\n" not in text
    assert "_ssl.c" not in text


def test_an_old_version_of_tls_is_explained(tmp_path: Path) -> None:
    client = a_client(tmp_path)
    server = a_server(tmp_path)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    assert explained(server, client) == "the server speaks no version of TLS that we accept"


async def test_a_server_that_hangs_up_in_the_handshake_is_explained(tmp_path: Path) -> None:
    to_client = ssl.MemoryBIO()
    to_client.write_eof()
    with pytest.raises(ssl.SSLError) as caught:
        a_client(tmp_path).wrap_bio(to_client, ssl.MemoryBIO(), server_hostname="x").do_handshake()
    assert explain(caught.value) == "the server closed the connection during the TLS handshake"


def test_a_server_that_closes_at_once_may_have_been_spoken_to_wrongly() -> None:
    for error in (ConnectionResetError(104, "reset"), asyncio.IncompleteReadError(b"", 7)):
        wrapped = ConnectionError("a library's own")
        wrapped.__cause__ = error
        assert "does it expect TLS there?" in explain(wrapped, began="plain")
        assert "does it want a client certificate" in explain(wrapped, began="tls")
        assert explain(wrapped) == ""


def test_what_is_no_trouble_with_tls_is_not_explained() -> None:
    for error in (ConnectionRefusedError(111, "refused"), TimeoutError(), ValueError("x"), OSError(113, "no route")):
        assert explain(error) == ""
        assert explain(error, began="plain") == explain(error, began="tls") == ""
    assert explain(ConnectionResetError()) == ""


def test_a_reason_without_words_of_ours_is_explained_in_openssls(tmp_path: Path) -> None:
    server, client = a_server(tmp_path), a_client(tmp_path)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    assert explained(server, client) == "no TLS connection: sslv3 alert handshake failure"
    refused = ssl.SSLCertVerificationError(1, "x")
    refused.verify_code, refused.verify_message = 23, "Certificate Revoked"
    assert explain(refused) == "the certificate is not accepted: certificate revoked"


def test_a_librarys_error_in_openssls_class_does_not_hide_its_cause(tmp_path: Path) -> None:
    of_openssl = ssl.SSLCertVerificationError(1, "x")
    of_openssl.verify_code = 10
    outer = ssl.SSLCertVerificationError("of a library")
    outer.__cause__ = of_openssl
    assert explain(outer) == "the certificate has expired"
    assert explain(ssl.SSLError("of a library")) == "no TLS connection"


def test_causes_that_go_in_circles_end() -> None:
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first
    first.__context__, second.__context__ = second, second
    assert explain(first) == ""
    second.__context__ = ssl.SSLError(1, "x")
    assert explain(first) == "no TLS connection"
