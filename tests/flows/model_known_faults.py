"""KNOWN FAULTS of the controller that histories run into, each excluded here and nowhere else.

Take one out, with what depends on it, when the fault is mended.
"""

RESTORE_WITHOUT_END = False
"""A restore of what the log has not said to have ended looks for ever, where somebody else holds the id."""
ENDED_BY_ANOTHER_HANDLING = False
"""A handling that has taken an id out is dropped when another one has ended the drain: an override stays."""
COPY_TAKEN_FOR_A_LIVING_PODS = False
"""A restarted node's copy of a dead registration, younger than a living pod at its address, is left to that one."""
