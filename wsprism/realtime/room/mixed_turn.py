"""A turn of a room with joins, leaves and questions in it.

They are told at their places among the publications; they count from the next turn on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsprism.realtime.messages import (
    CloseRoom,
    HistoryQuery,
    InfoChanged,
    MembersQuery,
    PresenceQuery,
    PresenceState,
    RoomJoin,
    RoomLeave,
)
from wsprism.realtime.room.answers import frame_for
from wsprism.realtime.room.step import Step
from wsprism.realtime.room.turn import TO_THE_END, Turn
from wsprism.realtime.room.values import values_frame

if TYPE_CHECKING:
    from qos import Frame
    from wsprism.protocol.places import Position
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.line import Other, Question
    from wsprism.realtime.session import Session

__all__ = ["MOST_OTHERS_AT_ONCE", "MixedTurn"]

MOST_OTHERS_AT_ONCE: Final = 64
"""Joins, leaves and questions of one turn."""

_MOST_LISTINGS_AT_ONCE: Final = 8


class MixedTurn(Turn):
    """``others`` are carried out when everybody has the turn, and ``closes`` behind them.

    ``recovers``: who is served from the history from a position on. ``top``: the newest offset of before the turn.
    ``taken`` and ``listings`` are what it cost so far.
    """

    __slots__ = ("_moved", "closes", "listings", "others", "recovers", "taken", "top")

    def __init__(self, room: Room) -> None:
        super().__init__(room, [])
        self.others: list[RoomJoin | RoomLeave] = []
        self.closes: CloseRoom | None = None
        self.recovers: dict[Session, Position] | None = None
        self.top = room.history.top() if room.members.replays and room.history is not None else 0
        self.listings = 0
        self.taken = 0
        self._moved: set[Session] = set()

    def takes(self, item: Other) -> bool:
        """Whether ``item`` can have its place in this turn; else it begins the next one."""
        if self.closes is not None or self.taken >= MOST_OTHERS_AT_ONCE:
            return False
        if isinstance(item, CloseRoom):
            self.closes = item
            return True
        if isinstance(item, Step):
            self.taken += item.work
            if self._room.snapshot.rules is not None:
                self.feed_snapshot()
            item.carry_out()
            return True
        session = item.session
        if session in self._moved:
            return False
        room = self._room
        if isinstance(item, InfoChanged):
            self.taken += 1
            room.attendance.show_info(session)
            return True
        lists = room.attendance.presence is not None and _lists_presence(item)
        if lists and self.listings >= _MOST_LISTINGS_AT_ONCE:
            return False
        at = len(self.publications)
        is_member = session in room.members.roster
        if room.remembers:
            if at and self._needs_the_front(item, is_member):
                return False
            at = 0 if isinstance(item, RoomJoin) else at
        self.listings += lists
        self.taken += 1
        self._note(item)
        frame = frame_for(room, item, self)
        if isinstance(item, MembersQuery | HistoryQuery | PresenceQuery | PresenceState):
            if not is_member:
                if frame is not None:
                    session.outlet.offer(frame)
                return True
        else:
            self._moved.add(session)
            self.others.append(item)
        way = self._way(session)
        if isinstance(item, RoomJoin) and not is_member:
            way.begins_at = at
        if self.recovers is not None and session in self.recovers:
            way.begins_at = way.ends_at = TO_THE_END
        if isinstance(item, RoomLeave):
            way.ends_at = at
        if frame is not None:
            way.told.append((at, frame))
        if isinstance(item, RoomJoin):
            values = room.tenant.values.of_room(room.name)
            way.told.extend((at, values_frame(name, room.name, one, session)) for name, one in values.items())
        if isinstance(item, RoomJoin) and room.snapshot.rules is not None:
            way.told.extend((at, one) for one in self._snapshot_at(at))
        return True

    def _needs_the_front(self, item: RoomJoin | RoomLeave | Question, is_member: bool) -> bool:
        """In a room with a history: whether what it is told depends on all that was published before it.

        Who joins comes in before the whole turn, of which nobody knows anything yet; but not who knows of it from
        another node.
        """
        if isinstance(item, RoomJoin):
            return is_member or self._is_ahead(item)
        return isinstance(item, HistoryQuery) or (is_member and item.session in self._room.members.replays)

    def _is_ahead(self, join: RoomJoin) -> bool:
        since, history = None if join.wants is None else join.wants.since, self._room.history
        return since is not None and history is not None and since.offset > history.top()

    def _note(self, item: RoomJoin | RoomLeave | Question) -> None:
        """Presence and snapshot follow a join or leave at its place in the order."""
        room = self._room
        if isinstance(item, RoomJoin):
            room.attendance.join(item)
        elif isinstance(item, RoomLeave):
            room.attendance.leave(item)
            user = item.session.user
            if room.snapshot.rules is not None and user not in room.users:
                self.feed_snapshot()
                room.forget_frames_of(user)

    def _snapshot_at(self, at: int) -> list[Frame]:
        """The newest hot frames of before the position ``at``, for somebody who joins there."""
        if at:
            self.feed_snapshot()
        return self._room.snapshot.frames()

    def recover(self, session: Session, since: Position) -> None:
        """``session`` is served from the history, from ``since`` on, and gets nothing of this turn otherwise."""
        if self.recovers is None:
            self.recovers = {}
        self.recovers[session] = since


def _lists_presence(item: RoomJoin | RoomLeave | Question) -> bool:
    """Whether it is answered with everybody who is there."""
    if isinstance(item, RoomJoin):
        return item.wants is not None and item.wants.presence
    return isinstance(item, PresenceQuery)
