"""One turn of a room on its way to the members: a cursor over them that stops when its budget of work is used up.

Everybody shares the turn's blocks. Who does not get exactly all of it (a sender that relays, somebody who joins, leaves
or asks in the middle) is served apart: whole blocks where they fit, single frames around what is left out or put in.
Work is counted in blocks and frames that are offered, not in members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qos import Block, Frame, Verdict
from qos.native import mypyc_attr

if TYPE_CHECKING:
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.outbound.outlet import Outlet

__all__ = ["Apart", "FanOut"]

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


@mypyc_attr(free_list_len=1)
class FanOut:
    """``groups`` are those who are offered the turn's blocks, in their order: once made for all of one wire format.
    ``go_on`` until ``done``.

    They are the members of before the turn and do not change meanwhile. Who is in ``apart`` goes a way of its own, with
    the blocks of its wire format: of the members, and whoever joins in the turn. ``large``: the room is.
    """

    __slots__ = ("_apart", "_at", "_flusher", "_groups", "_large", "_skips", "done")

    def __init__(
        self,
        groups: list[tuple[list[Outlet], list[Block]]],
        flusher: Flusher,
        large: bool,
        apart: list[tuple[Outlet, Apart, list[Block]]] | None = None,
    ) -> None:
        self.done = False
        self._groups = groups
        self._apart = apart
        self._skips = None if apart is None else {outlet for outlet, _, _ in apart}
        self._flusher = flusher
        self._large = large
        self._at = 0

    def go_on(self, budget: int) -> int:
        """Offer as much as ``budget`` allows; what is left of it. At least one member is served."""
        groups = self._groups
        while groups:
            outlets, blocks = groups[-1]
            begin, width = self._at, len(blocks)
            if begin or width * len(outlets) > budget:
                end = begin + (budget // width or 1)
                some = outlets[begin:end]
                self._offer(some, blocks)
                if end < len(outlets):
                    self._at = end
                    return 0
                self._at = 0
                budget -= width * len(some)
            else:
                self._offer(outlets, blocks)
                budget -= width * len(outlets)
            groups.pop()
            if budget <= 0 and (groups or self._apart):
                return 0
        apart = self._apart
        while apart:
            outlet, way, blocks = apart.pop()
            budget -= self._serve_apart(outlet, way, blocks)
            if budget <= 0 and apart:
                return 0
        self.done = True
        return budget

    def _offer(self, outlets: list[Outlet], blocks: list[Block]) -> None:
        """Offer whole blocks, and have those that were idle written to."""
        woken: list[Outlet] = []
        skips = self._skips
        if skips is not None:
            outlets = [one for one in outlets if one not in skips]
        for block in blocks:
            for outlet in outlets:
                verdict = outlet.queue.offer_block(block)
                if verdict is _WAKE:
                    woken.append(outlet)
                elif verdict:
                    outlet.settle(verdict)
        if len(woken) == 1:
            self._flusher.mark(woken[0], large=self._large)
        elif woken:
            self._flusher.mark_all(woken, large=self._large)

    def _serve_apart(self, outlet: Outlet, way: Apart, blocks: Sequence[Block]) -> int:
        """Offer one session its own; the work that it was."""
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
