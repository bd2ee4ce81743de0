"""``python -m controller`` is ``eureka-drain``."""

from controller.cli import main

main()
