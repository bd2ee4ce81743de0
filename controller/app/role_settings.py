"""What the settings must hold for the roles that are to run."""

from __future__ import annotations

from collections.abc import Sequence

from controller.errors import SettingsError
from controller.settings import Settings


def check_regions(settings: Settings, *, watch: bool, work: Sequence[str]) -> None:
    """Refuse roles that the settings give nothing to do."""
    problems = [
        f"--region {name}: no such region in the settings; known: {', '.join(settings.regions) or '(none)'}"
        for name in work
        if name not in settings.regions
    ]
    if watch and not (settings.regions or settings.routing.default_regions or settings.routing.namespaces):
        problems.append("regions: none is configured; name at least one with its nodes, or routing.default_regions")
    if problems:
        raise SettingsError(problems)
