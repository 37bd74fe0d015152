"""What a connection waits for, as a token: it goes with the question and comes back with the answer."""

from __future__ import annotations

__all__ = ["Acknowledgement", "Decision"]


class Acknowledgement:
    """The one ``sys.ack`` of a message whose effects are decided one by one; ``waiting`` of them are not yet.

    ``offset``: of the first publication of its list into a room that gives any.
    """

    __slots__ = ("failed", "offset", "seq", "waiting")

    def __init__(self, seq: int | None) -> None:
        self.seq = seq
        self.offset: int | None = None
        self.waiting = 0
        self.failed = False

    def settle(self, *, granted: bool) -> bool:
        """One of them is decided. Whether it is time to acknowledge: all are, and all were granted."""
        self.waiting -= 1
        self.failed = self.failed or not granted
        return not self.waiting and not self.failed


class Decision:
    """Compared by identity, so that an answer that comes twice or too late is known as such.

    ``holds_back``: what the client says next waits for it. ``bound``: the client itself has asked, and is bound by its
    ticket.
    """

    __slots__ = ("acknowledgement", "bound", "holds_back")

    def __init__(
        self, *, holds_back: bool = True, bound: bool = True, acknowledgement: Acknowledgement | None = None
    ) -> None:
        self.holds_back = holds_back
        self.bound = bound
        self.acknowledgement = acknowledgement
        if acknowledgement is not None:
            acknowledgement.waiting += 1
