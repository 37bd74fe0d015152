"""The frames of a connection that cannot be served at once, class by class.

Reliable and hot share the way out by deficit round robin on bytes (Shreedhar and Varghese, 1995); hot frames of one
key replace each other while conflation is on. It knows no bound and keeps no account: its queue does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, NamedTuple

from qos.frame import Block, Frame

__all__ = ["QUANTUM_BYTES", "Backlog", "Taken"]

QUANTUM_BYTES: Final = 512
"""What a lane may send in a round, for each unit of its weight."""


class Taken(NamedTuple):
    """What left a backlog, by class."""

    reliable_count: int
    reliable_bytes: int
    hot_count: int
    hot_bytes: int


class Backlog:
    """Both deques in publication order, the deficit of each, and whose turn it is.

    ``reliable`` holds blocks without hot frames whole: a reader that lags behind a busy room costs no more than another
    one. A block is taken apart only when hot frames want their turns between, or when it is more than fits.
    """

    __slots__ = ("_deficits", "_granted", "_index", "_quanta", "_turn", "hot", "reliable")

    def __init__(self, reliable_weight: int, hot_weight: int) -> None:
        self.reliable: deque[Frame | Block] = deque()
        self.hot: deque[Frame] = deque()
        self._index: dict[Hashable, Frame] | None = None
        self._quanta = (reliable_weight * QUANTUM_BYTES, hot_weight * QUANTUM_BYTES)
        self._deficits = [0, 0]
        self._turn = 0
        self._granted = False

    def __bool__(self) -> bool:
        return bool(self.reliable or self.hot)

    def push_hot(self, frame: Frame) -> int:
        """Append ``frame``, or put it in the place of the older one of its key. Returns the bytes of the frame that
        it replaced, -1 for none."""
        index = self._index
        if index is None or frame.key is None:
            self.hot.append(frame)
            return -1
        older = index.get(frame.key)
        if older is None:
            own = Frame(frame.data, frame.lane, frame.key)
            index[frame.key] = own
            self.hot.append(own)
            return -1
        replaced_bytes = len(older.data)
        older.data = frame.data
        return replaced_bytes

    def pop_hot(self) -> Frame:
        """Remove the oldest hot frame."""
        frame = self.hot.popleft()
        if self._index is not None and frame.key is not None:
            self._index.pop(frame.key, None)
        return frame

    def clear_hot(self) -> None:
        """Forget every hot frame."""
        self.hot.clear()
        if self._index is not None:
            self._index.clear()

    def start_conflation(self) -> tuple[int, int]:
        """From now on frames of one key replace each other, those that stand here too. Returns how many messages
        and bytes that saved at once."""
        waiting, self.hot, self._index = self.hot, deque(), {}
        replaced = [size for size in map(self.push_hot, waiting) if size >= 0]
        return len(replaced), sum(replaced)

    def stop_conflation(self) -> None:
        """From now on every frame is appended."""
        self._index = None

    def take(self, parts: list[bytes], room_bytes: int, *, reliable: bool = True, hot: bool) -> Taken:
        """Move what fits into ``room_bytes`` to ``parts``; a frame that would be the first of ``parts`` always does.
        Without ``hot`` only reliable frames leave, without ``reliable`` only hot ones."""
        reliable_queue, hot_queue = self.reliable, self.hot
        counts, sizes = [0, 0], [0, 0]
        contended = hot and reliable
        while (reliable and reliable_queue) or (hot and hot_queue):
            if contended and reliable_queue and hot_queue:
                self._open_block()
                turn = self._turn_for(reliable_queue, hot_queue)
            else:
                turn = 0 if reliable and reliable_queue else 1
                contended = False
                if not turn and len(reliable_queue[0].data) > room_bytes:
                    self._open_block()
            head = hot_queue[0] if turn else reliable_queue[0]
            size = len(head.data)
            if size > room_bytes and parts:
                break
            parts.append(head.data)
            if turn:
                self.pop_hot()
            else:
                reliable_queue.popleft()
            if contended:
                self._deficits[turn] -= size
            room_bytes -= size
            counts[turn] += head.reliable_count if isinstance(head, Block) else 1
            sizes[turn] += size
        if not (reliable_queue and hot_queue):
            self._deficits = [0, 0]
            self._granted = False
        return Taken(counts[0], sizes[0], counts[1], sizes[1])

    def _open_block(self) -> None:
        """Have a single frame at the head of the reliable ones."""
        head = self.reliable[0]
        if isinstance(head, Block):
            self.reliable.popleft()
            self.reliable.extendleft(reversed(head.frames))

    def _turn_for(self, reliable_queue: deque[Frame | Block], hot_queue: deque[Frame]) -> int:
        """The lane whose head may leave next, 0 reliable or 1 hot. A lane keeps its turn while its deficit lasts."""
        deficits = self._deficits
        heads = (len(reliable_queue[0].data), len(hot_queue[0].data))
        turn = self._turn
        if self._granted:
            if heads[turn] <= deficits[turn]:
                return turn
            turn ^= 1
        self._skip_rounds(heads)
        while True:
            deficits[turn] += self._quanta[turn]
            if heads[turn] <= deficits[turn]:
                self._turn = turn
                self._granted = True
                return turn
            turn ^= 1

    def _skip_rounds(self, heads: tuple[int, int]) -> None:
        """Grant at once what the rounds in which neither head could leave would: large frames span hundreds of them."""
        deficits, quanta = self._deficits, self._quanta
        reliable_rounds = (heads[0] - deficits[0] - 1) // quanta[0]
        hot_rounds = (heads[1] - deficits[1] - 1) // quanta[1]
        rounds = min(reliable_rounds, hot_rounds)
        if rounds > 0:
            deficits[0] += rounds * quanta[0]
            deficits[1] += rounds * quanta[1]
