"""Every exception of this program, drawn once. Each class says what its catcher should do.

DrainControllerError
├── SettingsError      report it in one line a mistake, exit 2
├── KubernetesError    back off and ask again
├── BrokerError        not confirmed: do it again, it may arrive twice
│   ├── StreamMissingError  nobody has written it yet: there is nothing to read
│   └── PartsMissingError  not ours to declare: go on with what is there, and name what is not
├── RegistryError      the region did not answer: try again later
├── MessageError       not a message of ours: dead-letter it with this reason
├── BusyError          another replay is running, or this one is too large: wait, or choose fewer drains
└── DeclinedError      a person asked for what is not done: say why; nothing has changed
"""

from __future__ import annotations

from controller.domain.reason import Reason, ReasonCode

MAX_NAMED = 8


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


class StreamMissingError(BrokerError):
    """A log that nobody has declared yet."""


class PartsMissingError(BrokerError):
    """Parts of the topology are not on the broker, and this user may not declare them."""

    def __init__(self, names: list[str], refusal: str) -> None:
        super().__init__(
            f"the broker lacks {', '.join(names[:MAX_NAMED])}{' …' if len(names) > MAX_NAMED else ''}, "
            f"and this user may not declare it ({refusal}); as an administrator: eureka-drain topology declare"
        )
        self.names = names


class RegistryError(DrainControllerError):
    """No node of the region gave a usable answer; ``reason`` says why, in a form that can be counted."""

    code = ReasonCode.unreachable

    def __init__(self, text: str, code: ReasonCode | None = None) -> None:
        super().__init__(text)
        self.reason = Reason(code=code or self.code, detail=text)

    @staticmethod
    def of(reason: Reason) -> RegistryError:
        """Return the error that has this reason."""
        return RegistryError(str(reason), reason.code)


class MessageError(DrainControllerError):
    """A message body that is not a valid message of a version that we know."""


class BusyError(DrainControllerError):
    """A replay cannot be run now."""


class DeclinedError(DrainControllerError):
    """What a person asked for is not done."""
