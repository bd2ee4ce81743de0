"""Certificates, passwords and tokens that change while a process runs: looked for in their files, and handed over.

Order of events: every file that settings or certificates come from is read; when they hold something new, and the same
at two looks, the settings are loaded again and the TLS contexts built from them; whoever uses them gets both. What
cannot be used is told once, and the old stays.

A mounted Secret changes by the swap of a symbolic link to a folder, so what counts is what the files hold, and neither
their times nor their inodes. All else that changed needs a restart: that is told, and not taken over.
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
from controller.settings_sources import Sources
from controller.tls.context import TlsAccess, access_to, files_of

POLL_INTERVAL = 2.0
"""Seconds between two looks."""


class Rotation:
    """One process's: it knows the settings in force."""

    def __init__(self, sources: Sources, settings: Settings, *, regions: Sequence[str]) -> None:
        """``regions``: whose nodes this process asks."""
        self._sources = sources
        self._settings = settings
        self._regions = tuple(regions)
        self._awaited: list[Path] = []
        """Certificates' files that settings name which could not be taken over yet."""
        self._seen = b""
        """What the last look found."""
        self._judged = b""
        """What was taken over, or refused."""

    def check(self) -> None:
        """Read every file that this process needs; SettingsError when one cannot be used."""
        access_to(self._settings, self._regions)

    async def run(self, hand_over: Callable[[TlsAccess], None]) -> None:
        """Look for ever."""
        while True:
            access = await asyncio.to_thread(self.look)
            if access is not None:
                hand_over(access)
            await asyncio.sleep(POLL_INTERVAL)

    def look(self) -> TlsAccess | None:
        """Give what is to be handed over; None when there is nothing new, or nothing that can be used."""
        seen = self._fingerprint()
        was_still = seen == self._seen
        self._seen = seen
        if not was_still or seen == self._judged:
            return None
        is_first, self._judged = not self._judged, seen
        try:
            given = self._sources.load()
            settings = renewed(self._settings, given)
            self._awaited = files_of(settings, self._regions)
            access = access_to(settings, self._regions)
        except SettingsError as error:
            logger.bind(error=str(error)).error("changed settings cannot be used: the old ones stay")
            return None
        if left := changed(settings, given):
            logger.bind(settings=", ".join(left)).warning("changed settings need a restart")
        held = changed(self._settings, settings)
        # The first judgement is of the start itself, unless something was rotated meanwhile.
        if held or not is_first:
            logger.bind(settings=", ".join(held)).info("credentials and certificates taken over")
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
    """The old settings with what may be rotated from the new ones: credentials, tokens, certificates' files.

    A URL's user and password are taken over where it leads to the same place.
    """
    broker: dict[str, Any] = {name: getattr(new.broker, name) for name in ("ca_file", "cert_file", "key_file")}
    if new.broker.url.place == old.broker.url.place:
        broker["url"] = new.broker.url
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
    """The names of the settings that differ; never their values."""
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
