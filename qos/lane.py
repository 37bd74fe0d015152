"""The three classes of an outbound queue, and what a queue answers to an offer.

Values only. Everybody who sends to a connection names a lane and looks at a verdict.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Lane", "Verdict"]


class Lane(IntEnum):
    """The class of a frame, in the order of urgency."""

    CONTROL = 0
    RELIABLE = 1
    HOT = 2


class Verdict(IntEnum):
    """The answer to an offer. Only ``QUEUED`` is falsy: nothing more is to do."""

    QUEUED = 0
    """Taken; whoever writes already knows that there is something to send."""
    WAKE = 1
    """Taken, and a flush has to be scheduled: there was nothing to send before."""
    OVERFLOW = 2
    """Refused by a full class, which closed the queue: the connection is a slow consumer."""
    CLOSED = 3
    """Refused: the queue is sealed or closed."""
