"""What stands in a queue: ready server frames, alone or joined to the block of one room turn.

Both are made once per publication and shared by every member's queue, so nothing here is changed after it was
offered. The bytes are opaque: this module knows no wire format.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from qos.errors import BlockError
from qos.lane import Lane
from qos.native import mypyc_attr

__all__ = ["Block", "Frame"]

_RELIABLE: Final = Lane.RELIABLE
_HOT: Final = Lane.HOT


@mypyc_attr(free_list_len=1)
class Frame:
    """One ready frame. ``key``: a newer hot frame of the same key may replace it; ``None``: it is never replaced."""

    __slots__ = ("data", "key", "lane")

    def __init__(self, data: bytes, lane: Lane, key: Hashable | None = None) -> None:
        self.data = data
        self.lane = lane
        self.key = key

    def __repr__(self) -> str:
        return f"Frame({self.lane.name}, {len(self.data)} bytes, key={self.key!r})"


@mypyc_attr(free_list_len=1)
class Block:
    """The reliable and hot frames of one room turn, in their order. ``data`` is all of them joined.

    Raises `BlockError` for no frames at all and for a control frame among them.
    """

    __slots__ = (
        "_run",
        "_run_data",
        "data",
        "frames",
        "hot_bytes",
        "hot_count",
        "reliable_bytes",
        "reliable_count",
    )

    def __init__(self, frames: list[Frame]) -> None:
        if not frames:
            raise BlockError("a block holds at least one frame")
        self.frames = frames
        self._run: list[Frame | Block] | None = None
        self._run_data: bytes
        reliable_count = reliable_bytes = hot_count = hot_bytes = 0
        for frame in frames:
            lane = frame.lane
            if lane is _RELIABLE:
                reliable_count += 1
                reliable_bytes += len(frame.data)
            elif lane is _HOT:
                hot_count += 1
                hot_bytes += len(frame.data)
            else:
                raise BlockError("a control frame never stands in a block")
        self.reliable_count = reliable_count
        self.reliable_bytes = reliable_bytes
        self.hot_count = hot_count
        self.hot_bytes = hot_bytes
        self.data = frames[0].data if len(frames) == 1 else b"".join([frame.data for frame in frames])

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return len(self.data)

    def join_run(self, rest: list[Frame | Block]) -> bytes:
        """This block and what stands behind it, joined. The members of a room mostly hold the same run: the last one
        is remembered. ``rest`` is the callee's from here on.

        A block mostly remembers younger ones, so that a new one keeps no old one alive. Not always: of two rooms whose
        fan-outs take turns, each may stand before the other in some queue. The collector finds the two.
        """
        if self._run == rest:
            return self._run_data
        data = b"".join([self.data, *[entry.data for entry in rest]])
        self._run = rest
        self._run_data = data
        return data
