"""The account of outbound queues: plain integers that queues add to and telemetry reads when it is asked.

One account may be shared by all queues of a tenant. It is exact whenever it is read:
``offered == sent + dropped + conflated + discarded + queued``, in messages and in bytes.
"""

from __future__ import annotations

__all__ = ["LaneCounters"]


class LaneCounters:
    """Lists indexed by `Lane`, in messages and (``*_bytes``) in bytes.

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
        self.offered, self.offered_bytes = [0, 0, 0], [0, 0, 0]
        self.sent, self.sent_bytes = [0, 0, 0], [0, 0, 0]
        self.dropped, self.dropped_bytes = [0, 0, 0], [0, 0, 0]
        self.conflated, self.conflated_bytes = [0, 0, 0], [0, 0, 0]
        self.discarded, self.discarded_bytes = [0, 0, 0], [0, 0, 0]

    @property
    def queued(self) -> list[int]:
        """Messages that stand in queues now."""
        return _rest(self.offered, self.sent, self.dropped, self.conflated, self.discarded)

    @property
    def queued_bytes(self) -> list[int]:
        """Bytes that stand in queues now."""
        return _rest(
            self.offered_bytes, self.sent_bytes, self.dropped_bytes, self.conflated_bytes, self.discarded_bytes
        )

    def offer(self, lane: int, size_bytes: int) -> None:
        """Count a message that a queue was offered."""
        self.offered[lane] += 1
        self.offered_bytes[lane] += size_bytes

    def offer_all(self, lane: int, count: int, size_bytes: int) -> None:
        """Count several messages that a queue was offered at once."""
        self.offered[lane] += count
        self.offered_bytes[lane] += size_bytes

    def drop(self, lane: int, size_bytes: int) -> None:
        """Count a message lost to a bound."""
        self.dropped[lane] += 1
        self.dropped_bytes[lane] += size_bytes

    def send(self, lane: int, count: int, size_bytes: int) -> None:
        """Count messages that left."""
        self.sent[lane] += count
        self.sent_bytes[lane] += size_bytes

    def conflate(self, lane: int, count: int, size_bytes: int) -> None:
        """Count messages replaced by newer ones."""
        self.conflated[lane] += count
        self.conflated_bytes[lane] += size_bytes

    def discard(self, lane: int, count: int, size_bytes: int) -> None:
        """Count messages thrown away with their queue."""
        self.discarded[lane] += count
        self.discarded_bytes[lane] += size_bytes

    def refuse(self, lane: int, size_bytes: int) -> None:
        """Count a message that a closed queue was offered."""
        self.offer(lane, size_bytes)
        self.discard(lane, 1, size_bytes)


def _rest(offered: list[int], *gone: list[int]) -> list[int]:
    return [total - sum(parts) for total, *parts in zip(offered, *gone, strict=True)]
