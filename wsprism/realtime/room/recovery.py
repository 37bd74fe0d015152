"""A member that recovers: a cursor over the room's history, read as fast as its socket takes it.

It stands in no queue and asks the history for the next block whenever there is nothing else to send. Once it has caught
up, its room has it take part in what goes out to everybody: nothing is missed, nothing comes twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qos import Frame
from qos.lane import Lane
from wsprism.protocol import sysmsg
from wsprism.protocol.places import Position
from wsprism.realtime.messages import Left

if TYPE_CHECKING:
    from wsprism.realtime.messages import RoomLeave
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.history import RoomHistory
    from wsprism.realtime.session import Session

__all__ = ["Replay"]

_AT_ONCE_BYTES: Final = 24 * 1024
"""What is offered to an empty queue: about what one write takes."""


class Replay:
    """Everything of ``history`` behind ``since``, for one member."""

    def __init__(self, room: Room, history: RoomHistory, session: Session, since: Position) -> None:
        self._room = room
        self._ref = room.context.ref
        self._history = history
        self._session = session
        self._at = since
        self._until: int | None = None
        self._leave: RoomLeave | None = None
        self._stopped = False

    @property
    def is_leaving(self) -> bool:
        """Whether its member has left, and is told so once it has what came before."""
        return self._leave is not None

    def leave_behind(self, offset: int, leave: RoomLeave) -> None:
        """The member leaves, behind ``offset``: up to there it gets everything."""
        if self._leave is None:
            self._until, self._leave = offset, leave

    def stop(self) -> None:
        """Nothing of it is sent any more."""
        self._stopped = True

    def refill(self, outlet: Outlet) -> bool:
        """Offer the next blocks, as a ``Source`` does."""
        if self._stopped:
            return False
        limits = self._room.queue_limits
        most_messages, most_bytes = limits.reliable_max_messages, min(limits.reliable_max_bytes, _AT_ONCE_BYTES)
        messages = size_bytes = 0
        while True:
            top = self._top()
            if top is None:
                return self._left_behind(outlet)
            if self._at.offset >= top:
                self._done()
                return False
            found = self._history.block_from(outlet.format, self._at, top)
            if found is None:
                return self._left_behind(outlet)
            block, last = found
            messages += block.reliable_count
            size_bytes += block.reliable_bytes
            if messages > most_messages or size_bytes > most_bytes:
                if messages > block.reliable_count:
                    return True
                if messages > most_messages or size_bytes > limits.reliable_max_bytes:
                    outlet.offer(block.frames[0])
                    self._go_to(self._at.offset + 1, 1)
                    return True
            outlet.offer_block(block)
            self._go_to(last, block.reliable_count)

    def _top(self) -> int | None:
        """Up to which offset it goes, as things stand; None: the history that it reads is no more."""
        position = self._history.position()
        if position is None or position.epoch != self._at.epoch:
            return None
        return position.offset if self._until is None else self._until

    def _go_to(self, offset: int, messages: int) -> None:
        self._at = Position(self._at.epoch, offset)
        self._room.replayed(messages)

    def _left_behind(self, outlet: Outlet) -> bool:
        """The history has dropped what comes next: never a silent hole."""
        self._stopped = True
        self._room.left_behind()
        outlet.give_up("left behind by the room's history")
        return False

    def _done(self) -> None:
        self._stopped = True
        session, leave = self._session, self._leave
        self._room.caught_up(session, self)
        if leave is not None:
            message = sysmsg.left(self._room.name, session.trace_id, seq=leave.seq)
            session.outlet.offer(Frame(session.outlet.format.encode(message), Lane.RELIABLE, None))
            session.connection.tell_control(Left(self._room.name, self._ref, leave.token))
