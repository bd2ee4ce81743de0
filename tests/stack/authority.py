"""A certificate authority of a test's own, and the PEM files that it writes.

Trap: two authorities of trustme have different names, so a wrong one is an unknown one, as in real life.
"""

from datetime import UTC, datetime
from pathlib import Path

import trustme

EXPIRED_AT = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """Signs certificates for host names and addresses."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.pem: bytes = self._ca.cert_pem.bytes()

    def write_ca(self, path: Path, *others: "Authority") -> Path:
        """Its own certificate, and those of others who are trusted too."""
        path.write_bytes(b"".join(one.pem for one in (self, *others)))
        return path

    def issue(self, *hosts: str, expired: bool = False) -> tuple[bytes, bytes]:
        """A certificate with what leads to its authority, and its key."""
        issued = self._ca.issue_cert(*hosts, not_after=EXPIRED_AT if expired else None)
        return b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()

    def write(self, folder: Path, *hosts: str, expired: bool = False) -> tuple[Path, Path]:
        """Issue one into `certificate.pem` and `key.pem`."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        for path, content in zip((certificate, key), self.issue(*hosts, expired=expired), strict=True):
            path.write_bytes(content)
        return certificate, key
