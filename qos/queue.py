"""One connection's outbound queue: three classes and the promises of each.

Control goes first, always. Reliable is complete and in order, or the queue refuses and the connection must be closed.
Hot keeps the newest: a full class drops its oldest frame, and while the connection is congested a newer frame takes the
place of an older one of its key.

While nothing is congested a queue holds whole blocks, shared by all their receivers, and gives them out as they are;
a backlog is looked at frame by frame (``qos.backlog``).
"""

from __future__ import annotations

from enum import IntEnum

from qos.backlog import Backlog, QueueLimits
from qos.counters import LaneCounters
from qos.frames import Block, Frame, Lane

__all__ = ["LaneCounters", "OutboundQueue", "QueueLimits", "Verdict"]


class Verdict(IntEnum):
    """What became of an offer."""

    QUEUED = 0
    """Taken; the queue was not empty."""
    WAKE = 1
    """Taken; the queue was empty, so somebody has to be told that it no longer is."""
    OVERFLOW = 2
    """Refused: close the connection as a slow consumer."""
    CLOSED = 3
    """Refused and not counted: the queue takes nothing any more."""


_QUEUED, _WAKE, _OVERFLOW, _CLOSED = Verdict
_CONTROL, _RELIABLE, _HOT = Lane


class OutboundQueue:
    """See the module. ``counters`` may be shared with other queues; nothing here waits or reads a clock."""

    __slots__ = (
        "_backlog",
        "_blocks",
        "_closed",
        "_congested",
        "_control",
        "_counters",
        "_hot_bytes",
        "_hot_count",
        "_limits",
        "_reliable_bytes",
        "_reliable_count",
    )

    def __init__(self, limits: QueueLimits, counters: LaneCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._control: list[Frame] | None = None
        self._blocks: list[Block] = []
        self._reliable_count = self._reliable_bytes = 0
        self._hot_count = self._hot_bytes = 0
        self._backlog: Backlog | None = None
        self._congested = False
        self._closed = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not (self._blocks or self._control or self._backlog is not None)

    @property
    def control_count(self) -> int:
        """Control messages that wait."""
        return len(self._control) if self._control else 0

    @property
    def congested(self) -> bool:
        """Whether the transport is known to be full."""
        return self._congested

    def queued(self, lane: Lane) -> tuple[int, int]:
        """How many messages and bytes of this class wait."""
        if lane is _CONTROL:
            return self.control_count, sum(len(frame.data) for frame in self._control or ())
        backlog = self._backlog
        if lane is _RELIABLE:
            if backlog is not None:
                return backlog.reliable_count, backlog.reliable_bytes
            return self._reliable_count, self._reliable_bytes
        if backlog is not None:
            return backlog.hot_count, backlog.hot_bytes
        return self._hot_count, self._hot_bytes

    def offer(self, frame: Frame) -> Verdict:
        """Offer one frame of any class."""
        if frame.lane is not _CONTROL:
            return self.offer_block(Block((frame,)))
        if self._closed:
            return _CLOSED
        counters, size_bytes = self._counters, len(frame.data)
        counters.offered[_CONTROL] += 1
        counters.offered_bytes[_CONTROL] += size_bytes
        if self.control_count >= self._limits.control_max_messages:
            self._discard(_CONTROL, 1, size_bytes)
            return _OVERFLOW
        was_empty = self.empty
        if self._control is None:
            self._control = []
        self._control.append(frame)
        return _WAKE if was_empty else _QUEUED

    def offer_block(self, block: Block) -> Verdict:
        """Offer the frames of one turn, in their order. On OVERFLOW what was not taken is counted as discarded."""
        if self._closed:
            return _CLOSED
        limits, counters = self._limits, self._counters
        reliable_count, hot_count = block.reliable_count, block.hot_count
        if reliable_count:
            counters.offered[1] += reliable_count
            counters.offered_bytes[1] += block.reliable_bytes
        if hot_count:
            counters.offered[2] += hot_count
            counters.offered_bytes[2] += block.hot_bytes
        blocks = self._blocks
        verdict = _QUEUED if blocks or self._control or self._backlog is not None else _WAKE
        if self._backlog is None and not self._congested:
            reliable_count += self._reliable_count
            hot_count += self._hot_count
            reliable_bytes = self._reliable_bytes + block.reliable_bytes
            if (
                reliable_count <= limits.reliable_max_messages
                and reliable_bytes <= limits.reliable_max_bytes
                and hot_count <= limits.hot_max_frames
            ):
                blocks.append(block)
                self._reliable_count = reliable_count
                self._reliable_bytes = reliable_bytes
                self._hot_count = hot_count
                self._hot_bytes += block.hot_bytes
                return verdict
        return verdict if self._push(block) else _OVERFLOW

    def take(self, max_bytes: int) -> bytes:
        """What goes out next, at most ``max_bytes`` (a larger frame goes alone), counted as sent. Empty: ``b""``.

        All of control leaves, whatever its size.
        """
        if self._control is None and self._backlog is None and self._reliable_bytes + self._hot_bytes <= max_bytes:
            return self._take_blocks()
        parts: list[bytes] = []
        if self._control is not None:
            parts = [frame.data for frame in self._control]
            self._counters.sent[_CONTROL] += len(parts)
            self._counters.sent_bytes[_CONTROL] += sum(map(len, parts))
            self._control = None
        backlog = self._spread()
        backlog.take(parts, max_bytes - sum(map(len, parts)))
        self._drop_empty_backlog()
        return b"".join(parts)

    def set_congested(self, congested: bool) -> None:
        """Told by whoever writes: the transport is full, or has drained. Conflation acts only in between."""
        self._congested = congested
        if not congested:
            if self._backlog is not None:
                self._backlog.forget_keys()
        elif not self.empty:
            self._spread().conflate()
            self._drop_empty_backlog()

    def seal(self) -> None:
        """Take nothing more; keep control and reliable to be sent, discard hot."""
        self._closed = True
        self._discard(_HOT, *self._spread().drop_hot())
        self._drop_empty_backlog()

    def close(self) -> None:
        """Take nothing more and discard what is queued. Idempotent."""
        self._closed = True
        for lane in Lane:
            self._discard(lane, *self.queued(lane))
        self._control = None
        self._backlog = None
        self._forget_blocks()

    def _take_blocks(self) -> bytes:
        """Everything, as the blocks that it came in."""
        blocks = self._blocks
        if not blocks:
            return b""
        counters = self._counters
        if self._reliable_count:
            counters.sent[1] += self._reliable_count
            counters.sent_bytes[1] += self._reliable_bytes
        if self._hot_count:
            counters.sent[2] += self._hot_count
            counters.sent_bytes[2] += self._hot_bytes
        self._forget_blocks()
        return blocks[0].data if len(blocks) == 1 else counters.join(blocks)

    def _forget_blocks(self) -> None:
        self._blocks = []
        self._reliable_count = self._reliable_bytes = 0
        self._hot_count = self._hot_bytes = 0

    def _spread(self) -> Backlog:
        """Turn whole blocks into single frames."""
        backlog = self._backlog
        if backlog is None:
            backlog = self._backlog = Backlog(self._limits, self._counters)
            for block in self._blocks:
                for frame in block.frames:
                    if frame.lane is _RELIABLE:
                        backlog.push_reliable(frame)
                    else:
                        backlog.push_hot(frame, conflate=self._congested)
            self._forget_blocks()
        return backlog

    def _drop_empty_backlog(self) -> None:
        backlog = self._backlog
        if backlog is not None and not backlog.reliable_count and not backlog.hot_count:
            self._backlog = None

    def _push(self, block: Block) -> bool:
        """Append frame by frame; False when a reliable one would not fit: it and all after it are discarded."""
        backlog, congested = self._spread(), self._congested
        for position, frame in enumerate(block.frames):
            if frame.lane is _HOT:
                backlog.push_hot(frame, conflate=congested)
            elif not backlog.push_reliable(frame):
                for lost in block.frames[position:]:
                    self._discard(lost.lane, 1, len(lost.data))
                self._drop_empty_backlog()
                return False
        return True

    def _discard(self, lane: Lane, count: int, size_bytes: int) -> None:
        self._counters.discarded[lane] += count
        self._counters.discarded_bytes[lane] += size_bytes
