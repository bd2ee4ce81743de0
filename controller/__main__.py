"""Where ``eureka-drain``, ``python -m controller`` and ``kubectl-drains`` begin."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """End without a traceback at Ctrl-C while the program is still being read, which takes half a second."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Run ``eureka-drain``."""
    with ended_by_ctrl_c():
        from controller.cli import main as run
    run()


def kubectl_drains() -> None:
    """Run ``kubectl drains``."""
    with ended_by_ctrl_c():
        from controller.cli import kubectl_drains as run
    run()


if __name__ == "__main__":
    main()
