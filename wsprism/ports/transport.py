"""A connection's socket."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """What a connection needs of a socket. No method waits."""

    paused: bool
    """True while the transport holds more than its high-water mark."""

    def write(self, data: bytes) -> None:
        """Hand over ready frames; ignored once the socket is gone."""
        ...

    def progress(self) -> object:
        """Something that is equal to what it was before only while the peer takes nothing of what was written."""
        ...

    def pause_reading(self) -> None:
        """Take nothing more from the socket; idempotent."""
        ...

    def resume_reading(self) -> None:
        """Undo ``pause_reading``; idempotent."""
        ...

    def limit_message_bytes(self, max_message_bytes: int) -> None:
        """Bound the messages that begin from here on."""
        ...

    def close(self) -> None:
        """Close once everything written has left."""
        ...

    def abort(self) -> None:
        """Drop the socket and what it still holds, at once."""
        ...
