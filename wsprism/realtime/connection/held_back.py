"""What a client has said behind a join or leave that is under way: it waits, in the order of the socket.

Messages, its Close and what it did wrong all stand here, so that nothing that a client does overtakes what it did
before. Made when something waits; an idle connection has none.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from wsprism.protocol.websocket import CloseReceived, Violation, size_in_bytes
from wsprism.realtime.messages import TransportLost

__all__ = ["Decision", "HeldBack", "Said"]

_MAX_HELD_BACK: Final = 256
_MAX_HELD_BACK_BYTES: Final = 64 * 1024
"""Reached by either, nothing more is read from the socket until the decision under way is made."""

Said = str | bytes | CloseReceived | Violation | TransportLost


class Decision:
    """A join or leave of ``room`` that was asked for; what comes back names it by being it, or by its room."""

    __slots__ = ("room", "seq")

    def __init__(self, room: str, seq: int | None) -> None:
        self.room = room
        self.seq = seq


class HeldBack:
    """First in, first out. ``enough``: the socket should not be read meanwhile."""

    __slots__ = ("_said", "_size_bytes")

    def __init__(self) -> None:
        self._said: deque[Said] = deque()
        self._size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._said)

    @property
    def enough(self) -> bool:
        """Whether as much waits as may."""
        return len(self._said) >= _MAX_HELD_BACK or self._size_bytes >= _MAX_HELD_BACK_BYTES

    def add(self, said: Said) -> None:
        """Behind everything else."""
        self._said.append(said)
        if isinstance(said, str | bytes):
            self._size_bytes += size_in_bytes(said)

    def next(self) -> Said:
        """The oldest."""
        said = self._said.popleft()
        if isinstance(said, str | bytes):
            self._size_bytes -= size_in_bytes(said)
        return said
