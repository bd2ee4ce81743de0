"""Every exception of this program, drawn once. Each class says what its catcher should do.

DrainControllerError
├── SettingsError      tell the user in one line a mistake, exit 2
├── KubernetesError    back off and ask again
├── BrokerError        not confirmed: do it again, it may arrive twice
├── RegistryError      the region did not answer: try again later
└── MessageError       not a message of ours: dead-letter it with this reason
"""

from __future__ import annotations


class DrainControllerError(Exception):
    """The root; its text is fit for a person and holds no secret."""


class SettingsError(DrainControllerError):
    """The settings cannot be used. ``problems`` holds one line a mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class KubernetesError(DrainControllerError):
    """The API server did not give what was asked for."""


class BrokerError(DrainControllerError):
    """The broker did not confirm."""


class RegistryError(DrainControllerError):
    """No node of the region gave a usable answer."""


class MessageError(DrainControllerError):
    """A message body that is not a valid message of a version that we know."""
