"""The account of outbound queues: plain integers that queues add to and telemetry reads when it is asked.

One account may be shared by all queues of a tenant. It is exact whenever it is read:
``offered == sent + dropped + conflated + discarded + queued``, in messages and in bytes.
"""

from __future__ import annotations

from qos.lane import Lane

__all__ = ["ClassCounters", "LaneCounters"]


class ClassCounters:
    """The account of one class, in messages and (``*_bytes``) in bytes.

    ``dropped``: lost to a bound (hot: the oldest; control and reliable: the message that closed the queue).
    ``conflated``: replaced by a newer one of its key. ``discarded``: thrown away because the queue was closed.
    """

    __slots__ = (
        "conflated",
        "conflated_bytes",
        "discarded",
        "discarded_bytes",
        "dropped",
        "dropped_bytes",
        "offered",
        "offered_bytes",
        "sent",
        "sent_bytes",
    )

    def __init__(self) -> None:
        self.offered = self.offered_bytes = 0
        self.sent = self.sent_bytes = 0
        self.dropped = self.dropped_bytes = 0
        self.conflated = self.conflated_bytes = 0
        self.discarded = self.discarded_bytes = 0

    @property
    def queued(self) -> int:
        """Messages that stand in queues now."""
        return self.offered - self.sent - self.dropped - self.conflated - self.discarded

    @property
    def queued_bytes(self) -> int:
        """Bytes that stand in queues now."""
        return (
            self.offered_bytes - self.sent_bytes - self.dropped_bytes - self.conflated_bytes - self.discarded_bytes
        )

    def discard(self, count: int, size_bytes: int) -> None:
        """Count queued messages as thrown away."""
        self.discarded += count
        self.discarded_bytes += size_bytes

    def refuse(self, count: int, size_bytes: int) -> None:
        """Count messages that a closed queue was offered."""
        self.offered += count
        self.offered_bytes += size_bytes
        self.discard(count, size_bytes)


class LaneCounters:
    """The account of all three classes."""

    __slots__ = ("control", "hot", "reliable")

    def __init__(self) -> None:
        self.control = ClassCounters()
        self.reliable = ClassCounters()
        self.hot = ClassCounters()

    def of(self, lane: Lane) -> ClassCounters:
        """The account of ``lane``."""
        return (self.control, self.reliable, self.hot)[lane]
