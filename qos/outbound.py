"""The outbound queue of one connection: three classes with three promises, and an exact account.

While nothing is in the way, a room's blocks stand in it whole and leave joined. Once the connection is congested, a
bound is reached or a block is larger than a write may be, frames are kept class by class in a `Backlog`. Offered to by
rooms and connections, emptied by the flusher alone. It knows no socket, no clock and no wire format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qos.backlog import Backlog
from qos.counters import LaneCounters
from qos.frame import Block, Frame
from qos.lane import Lane, Verdict
from qos.limits import QueueLimits

__all__ = ["OutboundQueue"]

_QUEUED: Final = Verdict.QUEUED
_WAKE: Final = Verdict.WAKE
_OVERFLOW: Final = Verdict.OVERFLOW
_CLOSED: Final = Verdict.CLOSED
_CONTROL: Final = Lane.CONTROL
_RELIABLE: Final = Lane.RELIABLE
_HOT: Final = Lane.HOT


class OutboundQueue:
    """See the module. A class that refuses a message closes the queue: nothing is ever skipped silently.

    With ``hold_hot`` the caller takes hot frames on a tick of its own (``take(hot=False)`` in between), and `WAKE` is
    also the answer to the first control or reliable frame behind hot ones.
    """

    __slots__ = (
        "_backlog",
        "_congested",
        "_control",
        "_counters",
        "_direct",
        "_first",
        "_hot_bytes",
        "_hot_count",
        "_limits",
        "_open",
        "_reliable_bytes",
        "_reliable_count",
        "_rest",
        "hold_hot",
    )

    def __init__(self, limits: QueueLimits, counters: LaneCounters, *, hold_hot: bool = False) -> None:
        self._limits = limits
        self._counters = counters
        self.hold_hot = hold_hot
        self._open = True
        self._congested = False
        self._direct = True
        self._first: Block | Frame | None = None
        self._rest: list[Frame | Block] | None = None
        self._control: list[bytes] | None = None
        self._backlog: Backlog | None = None
        self._reliable_count = self._reliable_bytes = 0
        self._hot_count = self._hot_bytes = 0

    def configure(self, limits: QueueLimits, *, hold_hot: bool) -> None:
        """Take other bounds from the next offer on, and other weights with the next backlog. Nothing that stands here
        is lost: a class above its new bound takes no more, or one for one."""
        self._limits = limits
        self.hold_hot = hold_hot

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not (self._reliable_count or self._hot_count or self._control)

    @property
    def urgent(self) -> bool:
        """Whether there is something else than hot frames to take."""
        return bool(self._reliable_count or self._control)

    @property
    def control_count(self) -> int:
        """Control frames that stand here."""
        return len(self._control) if self._control else 0

    @property
    def congested(self) -> bool:
        """Whether the transport was said to be full."""
        return self._congested

    def queued(self, lane: Lane) -> tuple[int, int]:
        """Messages and bytes of ``lane`` that stand here."""
        if lane is _CONTROL:
            return self.control_count, sum(map(len, self._control or ()))
        if lane is _RELIABLE:
            return self._reliable_count, self._reliable_bytes
        return self._hot_count, self._hot_bytes

    def offer_block(self, block: Block) -> Verdict:
        """Take one room turn's frames, in their order."""
        if not self._direct:
            return self._offer_frames(block)
        limits, counters = self._limits, self._counters
        reliable_count, hot_count = block.reliable_count, block.hot_count
        reliable_total, hot_total = self._reliable_count, self._hot_count
        if reliable_count:
            reliable_total += reliable_count
            reliable_bytes = self._reliable_bytes + block.reliable_bytes
            if reliable_total > limits.reliable_max_messages or reliable_bytes > limits.reliable_max_bytes:
                return self._offer_frames(block)
        if hot_count:
            hot_total += hot_count
            hot_bytes = block.hot_bytes
            if hot_total > limits.hot_max_frames or self._hot_bytes + hot_bytes > limits.hot_max_bytes:
                return self._offer_frames(block)
            account = counters.hot
            account.offered += hot_count
            account.offered_bytes += hot_bytes
            self._hot_count = hot_total
            self._hot_bytes += hot_bytes
        if reliable_count:
            account = counters.reliable
            account.offered += reliable_count
            account.offered_bytes += block.reliable_bytes
            self._reliable_count = reliable_total
            self._reliable_bytes = reliable_bytes
        if self._first is None:
            self._first = block
            return _QUEUED if self._control else _WAKE
        if self._rest is None:
            self._rest = [block]
        else:
            self._rest.append(block)
        if self.hold_hot and reliable_count and reliable_total == reliable_count and not self._control:
            return _WAKE
        return _QUEUED

    def offer(self, frame: Frame) -> Verdict:
        """Take one frame."""
        if not self._open:
            self._counters.refuse(frame.lane, len(frame.data))
            return _CLOSED
        verdict = self._verdict_before(frame.lane)
        return verdict if self._push(frame) else _OVERFLOW

    def _offer_frames(self, block: Block) -> Verdict:
        """The slow way of ``offer_block``: frame by frame."""
        if not self._open:
            self._refuse(block.frames)
            return _CLOSED
        if self._fits_whole(block):
            verdict = self._verdict_before(_RELIABLE)
            self._counters.offer_all(_RELIABLE, block.reliable_count, block.reliable_bytes)
            self._reliable_count += block.reliable_count
            self._reliable_bytes += block.reliable_bytes
            self._exploded().reliable.append(block)
            return verdict
        verdict = _QUEUED
        for at, frame in enumerate(block.frames):
            verdict = max(verdict, self._verdict_before(frame.lane))
            if not self._push(frame):
                self._refuse(block.frames[at + 1 :])
                return _OVERFLOW
        return verdict

    def _fits_whole(self, block: Block) -> bool:
        """Whether a block can stand in the backlog as it is: without hot frames, and within the bounds."""
        limits = self._limits
        return (
            not self._direct
            and not block.hot_count
            and self._reliable_count + block.reliable_count <= limits.reliable_max_messages
            and self._reliable_bytes + block.reliable_bytes <= limits.reliable_max_bytes
        )

    def _verdict_before(self, lane: Lane) -> Verdict:
        """What taking a frame of ``lane`` answers, as things stand before it."""
        if self._reliable_count or self._control:
            return _QUEUED
        if self._hot_count and not (self.hold_hot and lane is not _HOT):
            return _QUEUED
        return _WAKE

    def _push(self, frame: Frame) -> bool:
        """Take a frame of any class; False when its class refused it, which has closed the queue."""
        lane = frame.lane
        size = len(frame.data)
        self._counters.offer(lane, size)
        if self._is_full(lane, size):
            self._counters.drop(lane, size)
            self.close()
            return False
        if lane is _CONTROL:
            if self._control is None:
                self._control = []
            self._control.append(frame.data)
        elif lane is _RELIABLE:
            self._reliable_count += 1
            self._reliable_bytes += size
            if self._direct:
                self._append(frame)
            else:
                self._exploded().reliable.append(frame)
        elif self._direct and self._has_room_for_hot(size):
            self._hot_count += 1
            self._hot_bytes += size
            self._append(frame)
        else:
            self._push_hot(frame, size)
        return True

    def _is_full(self, lane: Lane, size: int) -> bool:
        limits = self._limits
        if lane is _RELIABLE:
            count = self._reliable_count
            return count > 0 and (
                count >= limits.reliable_max_messages or self._reliable_bytes + size > limits.reliable_max_bytes
            )
        return lane is _CONTROL and self.control_count >= max(limits.control_max_messages, 1)

    def _has_room_for_hot(self, size: int) -> bool:
        limits = self._limits
        return self._hot_count < limits.hot_max_frames and self._hot_bytes + size <= limits.hot_max_bytes

    def _append(self, frame: Frame) -> None:
        """Put a counted frame behind the blocks."""
        if self._first is None:
            self._first = frame
        elif self._rest is None:
            self._rest = [frame]
        else:
            self._rest.append(frame)

    def _push_hot(self, frame: Frame, size: int) -> None:
        """Put an offered hot frame into the backlog, at the cost of the oldest when there is too much."""
        backlog, limits = self._exploded(), self._limits
        replaced_bytes = backlog.push_hot(frame)
        self._hot_bytes += size
        if replaced_bytes >= 0:
            self._counters.conflate(_HOT, 1, replaced_bytes)
            self._hot_bytes -= replaced_bytes
        else:
            self._hot_count += 1
            if self._hot_count > max(limits.hot_max_frames, 1):
                self._drop_oldest_hot(backlog)
        while self._hot_bytes > limits.hot_max_bytes and self._hot_count > 1:
            self._drop_oldest_hot(backlog)

    def _drop_oldest_hot(self, backlog: Backlog) -> None:
        dropped_bytes = len(backlog.pop_hot().data)
        self._counters.drop(_HOT, dropped_bytes)
        self._hot_count -= 1
        self._hot_bytes -= dropped_bytes

    def _exploded(self) -> Backlog:
        """The backlog, with every frame of the blocks that stood here."""
        backlog = self._backlog
        if backlog is not None:
            return backlog
        backlog = self._backlog = Backlog(self._limits.reliable_weight, self._limits.hot_weight)
        self._direct = False
        first, rest = self._first, self._rest or ()
        self._first = self._rest = None
        for entry in (first, *rest) if first is not None else ():
            if isinstance(entry, Block) and not entry.hot_count:
                backlog.reliable.append(entry)
                continue
            for frame in (entry,) if isinstance(entry, Frame) else entry.frames:
                (backlog.reliable if frame.lane is _RELIABLE else backlog.hot).append(frame)
        if self._congested:
            self._start_conflation(backlog)
        return backlog

    def _start_conflation(self, backlog: Backlog) -> None:
        count, size_bytes = backlog.start_conflation()
        self._hot_count -= count
        self._hot_bytes -= size_bytes
        self._counters.conflate(_HOT, count, size_bytes)

    def take(self, max_bytes: int, *, hot: bool = True) -> bytes:
        """Everything that fits into ``max_bytes``, counted as sent: control, then reliable and hot.

        A frame larger than that is taken alone. Without ``hot`` the hot frames stay. ``b""``: there is nothing.
        """
        first = self._first
        reliable_count, hot_count = self._reliable_count, self._hot_count
        size_bytes = self._reliable_bytes + self._hot_bytes
        if first is None or self._control or size_bytes > max_bytes or (hot_count and not hot):
            return self._take_some(max_bytes, hot)
        counters = self._counters
        if reliable_count:
            account = counters.reliable
            account.sent += reliable_count
            account.sent_bytes += self._reliable_bytes
            self._reliable_count = self._reliable_bytes = 0
        if hot_count:
            account = counters.hot
            account.sent += hot_count
            account.sent_bytes += self._hot_bytes
            self._hot_count = self._hot_bytes = 0
        self._first = None
        rest = self._rest
        if rest is None:
            return first.data
        self._rest = None
        if type(first) is Block:
            return first.join_run(rest)
        return b"".join([first.data, *[entry.data for entry in rest]])

    def take_lane(self, lane: Lane, max_bytes: int) -> bytes:
        """The same of one class alone, for a transport that has a way of its own for each. The others stay."""
        parts: list[bytes] = []
        if lane is _CONTROL:
            if self._control:
                self._take_control(parts, max_bytes)
        elif self._hot_count if lane is _HOT else self._reliable_count:
            taken = self._exploded().take(parts, max_bytes, reliable=lane is _RELIABLE, hot=lane is _HOT)
            self._count_sent(*taken)
            self._settle_backlog()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take_some(self, max_bytes: int, hot: bool) -> bytes:
        """The general way of ``take``."""
        parts: list[bytes] = []
        room_bytes = max_bytes
        if self._control:
            room_bytes = self._take_control(parts, max_bytes)
        if self._control:
            return b"".join(parts)
        first = self._first  # by itself: what is known of the attribute ends with the call that changes it
        if first is not None and (self._reliable_count or hot):
            if hot or not self._hot_count:
                room_bytes = self._take_blocks(parts, room_bytes)
            if self._first is not None and (not parts or not hot):
                self._exploded()
        if self._backlog is not None:
            taken = self._backlog.take(parts, room_bytes, hot=hot)
            self._count_sent(*taken)
            self._settle_backlog()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take_control(self, parts: list[bytes], room_bytes: int) -> int:
        control = self._control or []
        for data in control:
            if len(data) > room_bytes and parts:
                break
            parts.append(data)
            room_bytes -= len(data)
            self._counters.send(_CONTROL, 1, len(data))
        self._control = control[len(parts) :] or None
        return room_bytes

    def _take_blocks(self, parts: list[bytes], room_bytes: int) -> int:
        """Take whole blocks from the front while they fit."""
        assert self._first is not None
        entries = [self._first, *(self._rest or ())]
        taken = 0
        for entry in entries:
            data = entry.data
            if len(data) > room_bytes:
                break
            parts.append(data)
            room_bytes -= len(data)
            taken += 1
            if type(entry) is Block:
                self._count_sent(entry.reliable_count, entry.reliable_bytes, entry.hot_count, entry.hot_bytes)
            elif entry.lane is _RELIABLE:
                self._count_sent(1, len(data), 0, 0)
            else:
                self._count_sent(0, 0, 1, len(data))
        self._first = entries[taken] if taken < len(entries) else None
        self._rest = entries[taken + 1 :] or None
        return room_bytes

    def _count_sent(self, reliable_count: int, reliable_bytes: int, hot_count: int, hot_bytes: int) -> None:
        self._reliable_count -= reliable_count
        self._reliable_bytes -= reliable_bytes
        self._hot_count -= hot_count
        self._hot_bytes -= hot_bytes
        self._counters.send(_RELIABLE, reliable_count, reliable_bytes)
        self._counters.send(_HOT, hot_count, hot_bytes)

    def _settle_backlog(self) -> None:
        """Give the backlog's memory back once it is empty, and go on with whole blocks."""
        if not self._backlog:
            self._backlog = None
            self._direct = self._open and not self._congested

    def set_congested(self, congested: bool) -> None:
        """Say whether the transport is full. While it is, frames are kept by class and conflation acts."""
        if congested == self._congested:
            return
        self._congested = congested
        if self._backlog is not None:
            if congested:
                self._start_conflation(self._backlog)
            else:
                self._backlog.stop_conflation()
        elif congested and self._first is not None:
            self._exploded()
        self._direct = self._open and not congested and self._backlog is None

    def drop_hot(self) -> None:
        """Throw the queued hot frames away, counted as discarded."""
        if not self._hot_count:
            return
        backlog = self._exploded()
        backlog.clear_hot()
        self._counters.discard(_HOT, self._hot_count, self._hot_bytes)
        self._hot_count = self._hot_bytes = 0
        self._settle_backlog()

    def seal(self) -> None:
        """Before a graceful close: nothing more is taken, hot frames are discarded, the rest may still leave."""
        self._open = self._direct = False
        self.drop_hot()

    def close(self) -> None:
        """Discard what is queued and take nothing more. Idempotent."""
        self._open = self._direct = False
        for lane in Lane:
            self._counters.discard(lane, *self.queued(lane))
        self._first = self._rest = self._control = self._backlog = None
        self._reliable_count = self._reliable_bytes = 0
        self._hot_count = self._hot_bytes = 0

    def _refuse(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._counters.refuse(frame.lane, len(frame.data))
