"""The event log, as far as it has been read."""


class FakeLog:
    """The flows' ``EventLog``."""

    def __init__(self, *, caught_up: bool = True) -> None:
        self.caught_up = caught_up
