"""What ends the plugin: one line for a person, and an exit status."""

from __future__ import annotations

BAD_USAGE = 2


class PluginError(Exception):
    """Its text says what is wrong and how to mend it."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status
