"""How often Python looks for objects that hold each other and nobody else holds.

By its defaults after every 700 new ones, and then again and again through all that lives: the index of a region, the
pods of a cluster, a day of the event log. Hardly anything here dies in circles, and a burst of drains makes many
objects. Measured: docs/measured.md.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000
"""After so many more were made than went; each takes some hundred bytes."""
YOUNGER_PASSES = 20
"""Passes through the younger objects before the older ones have their turn."""


def look_rarely() -> None:
    """Look less often, and never again through what the program itself is made of."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, YOUNGER_PASSES, YOUNGER_PASSES)
