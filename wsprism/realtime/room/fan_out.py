"""One turn of a room on its way to the members: a cursor over them that stops when its budget of work is used up.

Everybody shares the turn's blocks. Who does not get exactly all of it (a sender that relays, somebody who joins, leaves
or asks in the middle) is served apart: whole blocks where they fit, single frames around what is left out or put in.
Work is counted in blocks and frames that are offered, not in members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qos import Block, Frame, Verdict
from wsprism.realtime.outbound.flusher import SLICE_SIZE

if TYPE_CHECKING:
    from wsprism.realtime.messages import ExtPublication, HotPublication
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.outbound.wire import WireFormat
    from wsprism.realtime.session import Session

__all__ = ["Apart", "FanOut"]

_LARGE_ROOM: Final = SLICE_SIZE // 2
_WAKE: Final = Verdict.WAKE


class Apart:
    """One session's own way through a turn.

    ``begins_at``: the first publication that it gets (a member's: 0). ``ends_at``: the first that it does not get any
    more. ``left_out``: positions in between that it does not get. ``told``: frames for it alone, each with the position
    before which it stands; in rising order.
    """

    __slots__ = ("begins_at", "ends_at", "left_out", "told")

    def __init__(self, begins_at: int, ends_at: int) -> None:
        self.begins_at = begins_at
        self.ends_at = ends_at
        self.left_out: set[int] = set()
        self.told: list[tuple[int, Frame]] = []

    def has_all_of(self, begin: int, end: int) -> bool:
        """Whether it gets everything from ``begin`` up to ``end``, and nothing else in between."""
        if begin < self.begins_at or end > self.ends_at or (self.told and self.told[0][0] < end):
            return False
        left_out = self.left_out
        if len(left_out) > end - begin:
            return not any(at in left_out for at in range(begin, end))
        return not any(begin <= at < end for at in left_out)


class FanOut:
    """``blocks`` are the turn's in their order, made once for each wire format. ``go_on`` until ``done``.

    ``members`` are those of before the turn, grouped by their wire format, and do not change meanwhile; who joins in
    the turn is in ``apart`` only.
    """

    __slots__ = ("_apart", "_at", "_flusher", "_groups", "_large", "_rest_apart", "done", "publications")

    def __init__(
        self,
        publications: Sequence[ExtPublication | HotPublication],
        blocks: dict[WireFormat, list[Block]],
        members: dict[WireFormat, list[Session]],
        apart: dict[Session, Apart] | None,
        flusher: Flusher,
    ) -> None:
        self.publications = publications
        self.done = False
        self._apart = apart
        self._flusher = flusher
        self._groups: list[tuple[list[Session], list[Block]]] = []
        self._rest_apart: list[tuple[Session, Apart, list[Block]]] = []
        count = 0
        if blocks:
            for wire, sessions in members.items():
                self._groups.append((sessions, blocks[wire]))
                count += len(sessions)
        if apart:
            for session, way in apart.items():
                self._rest_apart.append((session, way, blocks.get(session.outlet.format, [])))
        self._large = count > _LARGE_ROOM
        self._at = 0

    def go_on(self, budget: int) -> int:
        """Offer as much as ``budget`` allows; what is left of it. At least one member is served."""
        while self._groups:
            sessions, blocks = self._groups[-1]
            begin, width = self._at, len(blocks)
            end = len(sessions) if width * (len(sessions) - begin) <= budget else begin + max(1, budget // width)
            self._offer(sessions if begin == 0 and end == len(sessions) else sessions[begin:end], blocks)
            budget -= width * (end - begin)
            if end < len(sessions):
                self._at = end
                return 0
            self._at = 0
            self._groups.pop()
            if budget <= 0 and (self._groups or self._rest_apart):
                return 0
        while self._rest_apart:
            session, way, blocks = self._rest_apart.pop()
            budget -= self._serve_apart(session, way, blocks)
            if budget <= 0 and self._rest_apart:
                return 0
        self.done = True
        return budget

    def _offer(self, sessions: Sequence[Session], blocks: Sequence[Block]) -> None:
        """Offer whole blocks, and have those that were idle written to."""
        woken: list[Outlet] = []
        apart = self._apart
        for session in sessions:
            if apart is not None and session in apart:
                continue
            outlet = session.outlet
            offer_block = outlet.queue.offer_block
            for block in blocks:
                verdict = offer_block(block)
                if verdict is _WAKE:
                    woken.append(outlet)
                elif verdict:
                    outlet.settle(verdict)
        if len(woken) == 1:
            self._flusher.mark(woken[0], large=self._large)
        elif woken:
            self._flusher.mark_all(woken, large=self._large)

    def _serve_apart(self, session: Session, way: Apart, blocks: Sequence[Block]) -> int:
        """Offer one session its own; the work that it was."""
        outlet = session.outlet
        work = 1 + len(way.told)
        begin = 0
        for block in blocks:
            end = begin + len(block.frames)
            while way.told and way.told[0][0] <= begin:
                outlet.offer(way.told.pop(0)[1])
            if way.has_all_of(begin, end):
                outlet.offer_block(block)
                work += 1
            elif begin < way.ends_at and end > way.begins_at:
                work += self._serve_frames(outlet, way, block.frames, begin)
            begin = end
        for _, frame in way.told:
            outlet.offer(frame)
        return work

    @staticmethod
    def _serve_frames(outlet: Outlet, way: Apart, frames: Sequence[Frame], first: int) -> int:
        """Offer what a session gets of one block, with what it alone is told in between."""
        run: list[Frame] = []
        for at, frame in enumerate(frames, first):
            while way.told and way.told[0][0] <= at:
                if run:
                    outlet.offer_block(Block(run))
                    run = []
                outlet.offer(way.told.pop(0)[1])
            if way.begins_at <= at < way.ends_at and at not in way.left_out:
                run.append(frame)
        if run:
            outlet.offer_block(Block(run))
        return len(frames)
