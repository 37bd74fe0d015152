"""A connection's socket, whatever it speaks: how frames are closed off, pinged and ended on the wire is its own."""

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

    def ping(self) -> None:
        """Ask the peer for a sign of life; how it answers shows as something heard."""
        ...

    def end(self, code: int | None, reason: str) -> None:
        """Say behind everything written that this is the end, and why (None: nothing to say); nothing is written after.

        The socket stays until the peer has said so too, or ``close`` or ``abort``.
        """
        ...

    def close(self) -> None:
        """Close once everything written has left."""
        ...

    def abort(self) -> None:
        """Drop the socket and what it still holds, at once."""
        ...
