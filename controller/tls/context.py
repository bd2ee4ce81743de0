"""Build TLS contexts from the settings' files. A file that cannot be used is a SettingsError: its setting, and its fix.

Traps avoided: a key with a passphrase makes OpenSSL ask for it on the terminal; its own messages name no file; a
certificate and its key are two files, and may be read while only one of them is new.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from controller.bounds import MAX_FILE_BYTES
from controller.errors import SettingsError
from controller.settings import BrokerSettings, RegionSettings, SecretUrl, Settings

_CERTIFICATE = b"CERTIFICATE-----"
_PRIVATE_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsAccess:
    """How the broker and the registries are reached: credentials, and contexts where there is TLS."""

    settings: Settings
    broker: ssl.SSLContext | None
    regions: Mapping[str, ssl.SSLContext | None]
    """One for each region that was asked for; None without TLS."""


def access_to(settings: Settings, regions: Iterable[str]) -> TlsAccess:
    """Build every context that is needed; SettingsError holds one line a mistake."""
    problems: list[str] = []
    broker: ssl.SSLContext | None = None
    contexts: dict[str, ssl.SSLContext | None] = {}
    try:
        broker = for_broker(settings.broker)
    except SettingsError as error:
        problems += error.problems
    for name in regions:
        try:
            contexts[name] = for_region(name, settings.regions[name])
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return TlsAccess(settings=settings, broker=broker, regions=contexts)


def for_broker(broker: BrokerSettings) -> ssl.SSLContext | None:
    """Return a context that verifies the broker and holds our certificate, if there is one; None for amqp://."""
    secure = any(_scheme(url) == "amqps" for url in broker.urls)
    return _context("broker", secure, broker.ca_file, broker.cert_file, broker.key_file)


def for_region(name: str, region: RegionSettings) -> ssl.SSLContext | None:
    """Return a context that verifies a region's nodes; None if none of them is https://."""
    secure = any(_scheme(url) == "https" for url in region.nodes)
    return _context(f"regions.{name}", secure, region.ca_file)


def files_of(settings: Settings, regions: Iterable[str]) -> list[Path]:
    """Return the files that ``access_to`` reads."""
    broker = settings.broker
    named = [broker.ca_file, broker.cert_file, broker.key_file]
    named += [settings.regions[name].ca_file for name in regions if name in settings.regions]
    return [path for path in named if path is not None]


def _scheme(url: SecretUrl) -> str:
    return urlsplit(url.get_secret_value()).scheme


def _context(
    group: str, secure: bool, ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext | None:
    if not (secure or ca_file or cert_file):
        return None
    context = _verifying(f"{group}.ca_file", ca_file)
    if cert_file is not None and key_file is not None:
        _load_certificate(context, group, cert_file, key_file)
    return context if secure else None


def _verifying(setting: str, path: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities in the file; without a file, those that the system trusts."""
    if path is not None:
        _read(setting, path, _CERTIFICATE, "certificates")
    try:
        context = ssl.create_default_context(cafile=path)
    except OSError as error:
        if path is None:
            raise
        raise _damaged(setting, path, "certificate", error) from error
    # Debian's Python leaves it to the system's policy, which may be looser, or stricter.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    return context


def _load_certificate(context: ssl.SSLContext, group: str, cert_file: Path, key_file: Path) -> None:
    cert_setting, key_setting = f"{group}.cert_file", f"{group}.key_file"
    _read(cert_setting, cert_file, _CERTIFICATE, "a certificate")
    key = _read(key_setting, key_file, _PRIVATE_KEY, "a private key")
    if b"ENCRYPTED" in key:
        fix = "write it without a passphrase: openssl pkey -in OLD -out NEW"
        raise SettingsError([f"{key_setting}: {key_file} is encrypted; {fix}"])
    try:
        # Parsed apart from the key, so that the error names the damaged one of the two.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=cert_file)
    except OSError as error:
        raise _damaged(cert_setting, cert_file, "certificate", error) from error
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_passphrase)
    except OSError as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            fix = "put the two there that were issued together"
            text = f"{key_setting}: {key_file} does not fit the certificate in {cert_file}; {fix}"
            raise SettingsError([text]) from error
        raise _damaged(key_setting, key_file, "private key", error) from error


def _read(setting: str, path: Path, label: bytes, what: str) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(
                [f"{setting}: {path} is larger than {MAX_FILE_BYTES} bytes; it must hold {what} in PEM"]
            )
        content = path.read_bytes()
    except OSError as error:
        fix = "is it mounted there, and may this user read it?"
        raise SettingsError([f"{setting}: cannot read {path}: {error.strerror}; {fix}"]) from error
    if not content.strip():
        raise SettingsError([f"{setting}: {path} is empty; it must hold {what} in PEM"])
    if b"-----BEGIN " not in content:
        fix = "a DER file becomes one by: openssl x509 -inform der -in OLD -out NEW"
        if label is _PRIVATE_KEY:
            fix = fix.replace("x509", "pkey")
        raise SettingsError([f"{setting}: {path} is not PEM; {fix}"])
    if label not in content:
        raise SettingsError([f"{setting}: {path} does not hold {what}; is it another setting's file?"])
    return content


def _damaged(setting: str, path: Path, what: str, error: OSError) -> SettingsError:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return SettingsError([f"{setting}: {path} holds a {what} that cannot be read ({reason}); write it anew"])


def _no_passphrase() -> str:
    return ""
