"""Files of certificates and keys: what is accepted, and how each mistake in them is reported."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from controller.errors import SettingsError
from controller.settings import BrokerSettings, RegionSettings, SecretUrl, Settings
from controller.tls.context import access_to, files_of, for_broker, for_region
from tests.stack.authority import Authority

AMQPS = SecretUrl("amqps://user:pass@broker:5671/")
AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("client")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A good CA file, certificate and key."""
    certificate, key = AUTHORITY.write(tmp_path, "client")
    return {"ca_file": AUTHORITY.write_ca(tmp_path / "ca.pem"), "cert_file": certificate, "key_file": key}


def mistakes_of(files: dict[str, Path]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        for_broker(BrokerSettings(url=AMQPS, **files))  # type: ignore[arg-type]
    assert all(problem.isprintable() and "PRIVATE" not in problem for problem in caught.value.problems)
    return caught.value.problems


def test_a_broker_is_verified_by_the_ca_file_alone_and_its_host_name_too(files: dict[str, Path]) -> None:
    context = for_broker(BrokerSettings(url=AMQPS, **files))  # type: ignore[arg-type]
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_without_a_ca_file_only_the_systems_authorities_are_trusted() -> None:
    context = for_broker(BrokerSettings(url=AMQPS))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("query", ["?no_verify_ssl=1", "?verify=0", "?cafile=/nowhere"])
def test_nothing_in_the_brokers_url_switches_verifying_off(query: str) -> None:
    context = for_broker(BrokerSettings(url=SecretUrl(f"AMQPS://broker/{query}")))
    assert context is not None, "the client library would go by the URL"
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_without_tls_there_is_no_context(files: dict[str, Path]) -> None:
    assert for_broker(BrokerSettings()) is None
    assert for_region("eu", RegionSettings(nodes=[SecretUrl("http://e:1")])) is None
    assert for_broker(BrokerSettings(**files)) is None  # type: ignore[arg-type]


def test_one_https_node_is_enough_for_a_context(files: dict[str, Path]) -> None:
    nodes = [SecretUrl("http://a:1"), SecretUrl("HTTPS://b:1")]
    context = for_region("eu", RegionSettings(nodes=nodes, ca_file=files["ca_file"]))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_bundle_of_several_authorities_is_taken_whole(files: dict[str, Path]) -> None:
    AUTHORITY.write_ca(files["ca_file"], Authority(), Authority())
    context = for_broker(BrokerSettings(url=AMQPS, **files))  # type: ignore[arg-type]
    assert context is not None
    assert len(context.get_ca_certs()) == 3


@pytest.mark.parametrize("setting", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory; is it mounted"),
        (b"", "is empty; it must hold"),
        (b" \n", "is empty; it must hold"),
        (b"\x30\x82\x01\x0a", "is not PEM; a DER file becomes one by: openssl "),
        (b"hello", "is not PEM"),
        (b"-----BEGIN PGP MESSAGE-----\n-----END PGP MESSAGE-----\n", "does not hold"),
        (b"-" * (1024 * 1024 + 1), "is larger than"),
        ("damaged", "cannot be read"),
        ("swapped", "does not hold"),
    ],
    ids=str,
)
def test_an_unusable_file_is_one_line_with_its_setting_path_and_fix(
    files: dict[str, Path], setting: str, content: bytes | str | None, said: str
) -> None:
    path = files[setting]
    right, wrong = (KEY, CERTIFICATE) if setting == "key_file" else (CERTIFICATE, KEY)
    if content is None:
        path.unlink()
    elif content == "damaged":
        path.write_bytes(right[: len(right) // 3] + right[-30:])
    elif content == "swapped":
        path.write_bytes(wrong)
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    (problem,) = mistakes_of(files)
    assert problem.startswith(f"broker.{setting}: ")
    assert str(path) in problem
    assert said in problem


def test_a_folder_in_a_files_place_is_reported(files: dict[str, Path], tmp_path: Path) -> None:
    (problem,) = mistakes_of({**files, "ca_file": tmp_path})
    assert (
        problem
        == f"broker.ca_file: cannot read {tmp_path}: Is a directory; is it mounted there, and may this user read it?"
    )


def test_a_key_that_does_not_fit_its_certificate_is_reported(files: dict[str, Path]) -> None:
    files["key_file"].write_bytes(AUTHORITY.issue("client")[1])
    (problem,) = mistakes_of(files)
    assert problem.startswith(
        f"broker.key_file: {files['key_file']} does not fit the certificate in {files['cert_file']};"
    )


def test_a_key_with_a_passphrase_is_reported_and_nobody_is_asked(files: dict[str, Path]) -> None:
    key = load_pem_private_key(files["key_file"].read_bytes(), password=None)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        files["key_file"].write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
        (problem,) = mistakes_of(files)
        assert "is encrypted; write it without a passphrase" in problem


def test_a_regions_ca_file_is_reported_with_the_regions_name(tmp_path: Path) -> None:
    region = RegionSettings(nodes=[SecretUrl("https://e:1")], ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"regions\.eu\.ca_file: cannot read"):
        for_region("eu", region)


def test_every_mistake_is_reported_but_none_in_files_of_other_regions(tmp_path: Path) -> None:
    lost = RegionSettings(nodes=[SecretUrl("https://e:1")], ca_file=tmp_path / "lost.pem")
    settings = Settings(
        broker=BrokerSettings(url=AMQPS, ca_file=tmp_path / "ca.pem"), regions={"eu": lost, "us": lost, "ap": lost}
    )
    with pytest.raises(SettingsError) as caught:
        access_to(settings, ["eu", "us"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "broker.ca_file",
        "regions.eu.ca_file",
        "regions.us.ca_file",
    ]
    assert files_of(settings, ["eu"]) == [tmp_path / "ca.pem", tmp_path / "lost.pem"]
