"""Who waits for a room over nodes: whoever joins or asks while it does not know where it stands, for a while.

Later than that they are refused, and so is everybody until the room stands where it should. A leave waits only behind
a join of the same session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import CloseRoom, HistoryQuery, JoinUndone, PresenceQuery, RoomJoin, RoomLeave
from wsprism.realtime.room.outbox import ROOM_AWAY

if TYPE_CHECKING:
    from wsprism.realtime.room.cluster import ClusterRoom

__all__ = ["JOINS_WAIT_S", "GiveUp", "Held", "Waiting"]

JOINS_WAIT_S: Final = 2.0
"""So long whoever joins waits for a room that does not stand where it should."""

Held = RoomJoin | RoomLeave | HistoryQuery | PresenceQuery | CloseRoom


class GiveUp:
    """To the room: whoever waits has waited long enough."""

    def __init__(self, since: object) -> None:
        self.since = since


class Waiting:
    """``held`` are those who wait, in their order."""

    def __init__(self, room: ClusterRoom) -> None:
        self.held: list[Held] = []
        self._room = room
        self._refuses = False
        self._since: object = None

    def begin(self) -> None:
        """From now on, if not already, it takes as long as it may."""
        if self._since is None and not self._refuses:
            self._since = object()
            self._room.context.call_later(JOINS_WAIT_S, GiveUp(self._since))

    def holds(self, item: Held) -> bool:
        """Whether ``item`` waits or was refused."""
        if isinstance(item, CloseRoom):
            return self._keeps(item, bool(self.held))
        if isinstance(item, RoomLeave):
            return self._keeps(item, any(_session_of(one) is item.session for one in self.held))
        room = self._room
        if room.stands and not self.held:
            if not isinstance(item, RoomJoin) or not room.lags_behind(item):
                return False
            room.read_again()
        if self._refuses:
            self._refuse(item)
            return True
        return self._keeps(item, True)

    def let_in(self) -> list[Held]:
        """The room stands where it should: all of them, in their order."""
        self._since = None
        self._refuses = False
        held, self.held = self.held, []
        return held

    def is_due(self, word: GiveUp) -> bool:
        """Whether it is about those who wait now."""
        return word.since is self._since

    def give_up(self) -> list[Held]:
        """They are told to come back later; so is everybody until the room stands. Who wants to leave may."""
        self._since = None
        self._refuses = True
        held, self.held = self.held, []
        goes_on: list[Held] = []
        for item in held:
            if isinstance(item, RoomLeave | CloseRoom):
                goes_on.append(item)
            else:
                self._refuse(item)
        return goes_on

    def _keeps(self, item: Held, waits: bool) -> bool:
        if waits:
            self.held.append(item)
        return waits

    def _refuse(self, item: RoomJoin | HistoryQuery | PresenceQuery) -> None:
        session, room = item.session, self._room
        if isinstance(item, RoomJoin):
            is_new = session not in room.members.roster
            room.tenant.ref.tell_control(JoinUndone(session, room.name, item.seq, item.token, is_new))
        else:
            session.outlet.send(sysmsg.error(ErrorCode.UNAVAILABLE, ROOM_AWAY, session.trace_id, item.seq))


def _session_of(item: Held) -> Any:
    return None if isinstance(item, CloseRoom) else item.session
