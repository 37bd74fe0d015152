"""The account of outbound queues: plain integers that queues add to and telemetry reads when it is asked.

One account may be shared by all queues of a tenant. It is exact whenever it is read:
``offered == sent + dropped + conflated + discarded + queued``, in messages and in bytes.
"""

from __future__ import annotations

__all__ = ["Account", "LaneCounters"]


class Account:
    """One class, in messages and (``*_bytes``) in bytes.

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


class LaneCounters:
    """An account of each class; all three as lists, indexed by `Lane`, for whoever reads them."""

    __slots__ = ("_of", "control", "hot", "reliable")

    def __init__(self) -> None:
        self.control = Account()
        self.reliable = Account()
        self.hot = Account()
        self._of = (self.control, self.reliable, self.hot)

    @property
    def offered(self) -> list[int]:
        return [one.offered for one in self._of]

    @property
    def offered_bytes(self) -> list[int]:
        return [one.offered_bytes for one in self._of]

    @property
    def sent(self) -> list[int]:
        return [one.sent for one in self._of]

    @property
    def sent_bytes(self) -> list[int]:
        return [one.sent_bytes for one in self._of]

    @property
    def dropped(self) -> list[int]:
        return [one.dropped for one in self._of]

    @property
    def dropped_bytes(self) -> list[int]:
        return [one.dropped_bytes for one in self._of]

    @property
    def conflated(self) -> list[int]:
        return [one.conflated for one in self._of]

    @property
    def conflated_bytes(self) -> list[int]:
        return [one.conflated_bytes for one in self._of]

    @property
    def discarded(self) -> list[int]:
        return [one.discarded for one in self._of]

    @property
    def discarded_bytes(self) -> list[int]:
        return [one.discarded_bytes for one in self._of]

    @property
    def queued(self) -> list[int]:
        """Messages that stand in queues now."""
        return [one.offered - one.sent - one.dropped - one.conflated - one.discarded for one in self._of]

    @property
    def queued_bytes(self) -> list[int]:
        """Bytes that stand in queues now."""
        return [
            one.offered_bytes - one.sent_bytes - one.dropped_bytes - one.conflated_bytes - one.discarded_bytes
            for one in self._of
        ]

    def offer(self, lane: int, size_bytes: int) -> None:
        """Count a message that a queue was offered."""
        account = self._of[lane]
        account.offered += 1
        account.offered_bytes += size_bytes

    def offer_all(self, lane: int, count: int, size_bytes: int) -> None:
        """Count several messages that a queue was offered at once."""
        account = self._of[lane]
        account.offered += count
        account.offered_bytes += size_bytes

    def drop(self, lane: int, size_bytes: int) -> None:
        """Count a message lost to a bound."""
        account = self._of[lane]
        account.dropped += 1
        account.dropped_bytes += size_bytes

    def send(self, lane: int, count: int, size_bytes: int) -> None:
        """Count messages that left."""
        account = self._of[lane]
        account.sent += count
        account.sent_bytes += size_bytes

    def conflate(self, lane: int, count: int, size_bytes: int) -> None:
        """Count messages replaced by newer ones."""
        account = self._of[lane]
        account.conflated += count
        account.conflated_bytes += size_bytes

    def discard(self, lane: int, count: int, size_bytes: int) -> None:
        """Count messages thrown away with their queue."""
        account = self._of[lane]
        account.discarded += count
        account.discarded_bytes += size_bytes

    def refuse(self, lane: int, size_bytes: int) -> None:
        """Count a message that a closed queue was offered."""
        self.offer(lane, size_bytes)
        self.discard(lane, 1, size_bytes)
