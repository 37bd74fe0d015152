"""What a connection waits for, and what its socket said behind it: one order, which nothing overtakes.

There is one only while something is awaited or stands in the line; an idle connection has none.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from wsprism.protocol.websocket import size_in_bytes
from wsprism.realtime.decision import Decision

__all__ = ["MAX_HELD_BACK", "MAX_HELD_BACK_BYTES", "Pending"]

MAX_HELD_BACK: Final = 256
MAX_HELD_BACK_BYTES: Final = 64 * 1024
"""Reached by either, nothing more is read from the socket until what holds the line back is decided."""


class Pending:
    """``awaited`` in the order of asking; ``holding`` of them hold the line back. So many ``messages`` stand in it.

    ``ends``: something that ends the connection does too.
    """

    __slots__ = ("awaited", "ends", "holding", "line", "line_bytes", "messages")

    def __init__(self) -> None:
        self.awaited: list[Decision] = []
        self.holding = 0
        self.line: deque[object] = deque()
        self.line_bytes = 0
        self.messages = 0
        self.ends = False

    @property
    def full(self) -> bool:
        """Whether so much stands in the line that nothing more is to be read."""
        return len(self.line) >= MAX_HELD_BACK or self.line_bytes >= MAX_HELD_BACK_BYTES

    @property
    def idle(self) -> bool:
        """Whether nothing is awaited and nothing stands in the line."""
        return not self.awaited and not self.line

    def expect(self, decision: Decision) -> None:
        """Wait for ``decision``."""
        self.awaited.append(decision)
        self.holding += decision.holds_back

    def settle(self, decision: Decision) -> bool:
        """Wait for it no longer; False: it was not awaited, or not any more."""
        if decision not in self.awaited:
            return False
        self.awaited.remove(decision)
        self.holding -= decision.holds_back
        return True

    def hold_back(self, event: object) -> None:
        """Put a message, or what else the socket said, behind everything in the line."""
        self.line.append(event)
        if isinstance(event, str | bytes):
            self.messages += 1
            self.line_bytes += size_in_bytes(event)
        else:
            self.ends = True

    def next(self) -> object:
        """Take what has stood in the line longest."""
        event = self.line.popleft()
        if isinstance(event, str | bytes):
            self.messages -= 1
            self.line_bytes -= size_in_bytes(event)
        return event
