"""What stands in an outbound queue: ready frames, and blocks of them that many queues share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import IntEnum

__all__ = ["Block", "Frame", "Lane"]


class Lane(IntEnum):
    """The three classes of a queue, most urgent first."""

    CONTROL = 0
    RELIABLE = 1
    HOT = 2


class Frame:
    """Bytes ready for a transport. ``key``: a newer hot frame of the same key may replace this one (None: never)."""

    __slots__ = ("data", "key", "lane")

    def __init__(self, data: bytes, lane: Lane, key: Hashable | None = None) -> None:
        self.data = data
        self.lane = lane
        self.key = key


class Block:
    """The frames of one turn in their order, reliable and hot mixed, joined once for everybody who takes them all."""

    __slots__ = ("_data", "frames", "hot_bytes", "hot_count", "reliable_bytes", "reliable_count", "size_bytes")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self._data: bytes | None = None
        hot_count = hot_bytes = reliable_bytes = 0
        for frame in frames:
            if frame.lane is Lane.HOT:
                hot_count += 1
                hot_bytes += len(frame.data)
            elif frame.lane is Lane.RELIABLE:
                reliable_bytes += len(frame.data)
            else:
                raise ValueError("a control frame is offered alone, never in a block")
        self.hot_count = hot_count
        self.hot_bytes = hot_bytes
        self.reliable_count = len(frames) - hot_count
        self.reliable_bytes = reliable_bytes
        self.size_bytes = hot_bytes + reliable_bytes

    @property
    def data(self) -> bytes:
        """All frames as one string of bytes."""
        data = self._data
        if data is None:
            frames = self.frames
            data = self._data = frames[0].data if len(frames) == 1 else b"".join([frame.data for frame in frames])
        return data
