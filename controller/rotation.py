"""Reload certificates, passwords and tokens that change in their files while a process runs.

Order of events: every file that settings or certificates come from is polled; when the contents are new, and the same
at two polls, the settings are loaded again, TLS contexts are built from them, and both are applied. What cannot be used
is logged once, and the old remains in force.

Trap: a mounted Secret changes by the swap of a symbolic link to a folder, so the files' contents are compared, and
neither their times nor their inodes. Every other change needs a restart: it is logged and not applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from loguru import logger
from pydantic import BaseModel

from controller.errors import SettingsError
from controller.settings import RegionSettings, Settings
from controller.settings.sources import Sources
from controller.tls.context import TlsAccess, access_to, files_of

POLL_INTERVAL = 2.0
"""Seconds between two polls."""


class Rotation:
    """Polls one process's files and knows the settings in force."""

    def __init__(self, sources: Sources, settings: Settings, *, regions: Sequence[str]) -> None:
        """``regions``: those whose nodes this process calls."""
        self._sources = sources
        self._settings = settings
        self._regions = tuple(regions)
        self._awaited: list[Path] = []
        """Certificates' files of settings that could not be applied yet."""
        self._seen = b""
        """The fingerprint at the last poll."""
        self._handled = b""
        """The fingerprint that was applied or refused."""

    def check(self) -> None:
        """Read every file that this process needs; SettingsError when one cannot be used."""
        access_to(self._settings, self._regions)

    async def run(self, apply: Callable[[TlsAccess], None]) -> None:
        """Poll for ever, and apply what changed."""
        while True:
            access = await asyncio.to_thread(self.poll)
            if access is not None:
                apply(access)
            await asyncio.sleep(POLL_INTERVAL)

    def poll(self) -> TlsAccess | None:
        """Return what is to be applied; None if nothing is new, or nothing new can be used."""
        seen = self._fingerprint()
        is_settled = seen == self._seen
        self._seen = seen
        if not is_settled or seen == self._handled:
            return None
        is_first, self._handled = not self._handled, seen
        try:
            loaded = self._sources.load()
            settings = renewed(self._settings, loaded)
            self._awaited = files_of(settings, self._regions)
            access = access_to(settings, self._regions)
        except SettingsError as error:
            logger.bind(error=str(error)).error("changed settings cannot be used; the old ones remain in force")
            return None
        if ignored := changed(settings, loaded):
            logger.bind(settings=", ".join(ignored)).warning("changed settings need a restart")
        applied = changed(self._settings, settings)
        # The first poll finds what the process has started with, unless something was rotated meanwhile.
        if applied or not is_first:
            logger.bind(settings=", ".join(applied)).info("credentials and certificates reloaded")
        self._settings = settings
        return access

    def _fingerprint(self) -> bytes:
        digest = sha256()
        certificates = {*files_of(self._settings, self._regions), *self._awaited}
        for path in [*self._sources.files(), *sorted(certificates)]:
            try:
                content = path.read_bytes()
            except OSError as error:
                content = f"errno {error.errno}".encode()
            digest.update(repr((str(path), len(content))).encode())
            digest.update(content)
        return digest.digest()


def renewed(old: Settings, new: Settings) -> Settings:
    """Return the old settings with the new credentials, tokens and certificates' files.

    A URL's new user and password are used only if it still leads to the same place.
    """
    broker: dict[str, Any] = {name: getattr(new.broker, name) for name in ("ca_file", "cert_file", "key_file")}
    if (new.broker.url.place, new.broker.hosts) == (old.broker.url.place, old.broker.hosts):
        broker |= {name: getattr(new.broker, name) for name in ("url", "username", "password")}
    regions = {
        name: _renewed_region(region, new.regions[name]) if name in new.regions else region
        for name, region in old.regions.items()
    }
    tokens = {name: getattr(new.ops, name) for name in ("viewer_token", "operator_token")}
    return old.model_copy(
        update={
            "broker": old.broker.model_copy(update=broker),
            "regions": regions,
            "ops": old.ops.model_copy(update=tokens),
        }
    )


def _renewed_region(old: RegionSettings, new: RegionSettings) -> RegionSettings:
    update: dict[str, Any] = {name: getattr(new, name) for name in ("username", "password", "ca_file")}
    if [url.place for url in new.nodes] == [url.place for url in old.nodes]:
        update["nodes"] = new.nodes
    return old.model_copy(update=update)


def changed(old: Any, new: Any, name: str = "") -> list[str]:
    """Return the names of the settings that differ; never their values."""
    if old == new:
        return []
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        parts = {part: (getattr(old, part), getattr(new, part)) for part in type(old).model_fields}
    elif isinstance(old, dict) and isinstance(new, dict):
        parts = {part: (old.get(part), new.get(part)) for part in sorted({*old, *new})}
    else:
        return [name]
    return [
        found
        for part, (before, after) in parts.items()
        for found in changed(before, after, f"{name}.{part}" if name else part)
    ]
