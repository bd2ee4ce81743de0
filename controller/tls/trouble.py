"""Explain why a connection failed, if TLS is the reason, in words that a person can act on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Literal

_OTHER_HOST = "the certificate is for another host"
_UNKNOWN_AUTHORITY = "the certificate is signed by an authority that ca_file (without it, the system) does not hold"
_OUR_CERTIFICATE = "our client certificate is not accepted: look at cert_file, and at the authorities of the server"
_VERIFICATION = {
    2: _UNKNOWN_AUTHORITY,
    7: _UNKNOWN_AUTHORITY,  # an authority of that name, with another key
    9: "the certificate is not valid yet: are the clocks right?",
    10: "the certificate has expired",
    18: _UNKNOWN_AUTHORITY,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
"""By OpenSSL's number (``man X509_STORE_CTX_get_error``)."""
_REASONS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "a client certificate is asked for: set cert_file and key_file",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our client certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OUR_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OUR_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": _OUR_CERTIFICATE,
    "TLSV1_ALERT_ACCESS_DENIED": _OUR_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": "the server speaks no version of TLS that we accept",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks no version of TLS that we accept",
}
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
)
_CLOSED = {
    "plain": "the server closed the connection without an answer: does it expect TLS there?",
    "tls": "the server closed the connection at once: does it want a client certificate (cert_file), or another one?",
}
"""A server that refuses our certificate sends an alert and closes; the end of the connection may overtake the alert."""


def explain(error: BaseException, *, began: Literal["plain", "tls", ""] = "") -> str:
    """Return why the connection failed; an empty text if TLS is not the reason.

    ``began``: what we sent first, if a server that only closes the connection may have expected the other.
    """
    causes = list(_causes(error))
    for cause in causes:
        if text := _openssl_text(cause):
            return text
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "no TLS connection"
    closed = any(isinstance(cause, ConnectionResetError | BrokenPipeError | EOFError) for cause in causes)
    return _CLOSED.get(began, "") if closed else ""


def _openssl_text(error: BaseException) -> str:
    """Return the words for an error of OpenSSL; empty for aiohttp's own errors, which have its classes but no facts."""
    code = getattr(error, "verify_code", None)
    if isinstance(error, ssl.SSLCertVerificationError) and code is not None:
        return _VERIFICATION.get(code) or f"the certificate is not accepted: {error.verify_message.lower()}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the server closed the connection during the TLS handshake"
    reason = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason:
        if reason in _NOT_TLS:
            return "the server does not speak TLS there: is it the port for plain text?"
        return _REASONS.get(reason) or f"no TLS connection: {reason.lower().replace('_', ' ')}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, each once: libraries chain in circles."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen or isinstance(cause, asyncio.CancelledError):
            continue
        seen.add(id(cause))
        yield cause
        # aiohttp keeps the original beside its own.
        inner = (getattr(cause, "certificate_error", None), getattr(cause, "os_error", None))
        waiting += [*(one for one in inner if isinstance(one, BaseException)), cause.__cause__, cause.__context__]
