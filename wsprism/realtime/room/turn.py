"""The front of a room's line while its fan-out is being made: what everybody gets, and who goes a way of its own.

Joins, leaves and questions in it are told at their places among the publications; they count from the next turn on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HistoryQuery,
    InfoChanged,
    MembersQuery,
    PresenceQuery,
    PresenceState,
    RoomJoin,
    RoomLeave,
)
from wsprism.realtime.room.answers import frame_for
from wsprism.realtime.room.attendance import NO_MEMBER
from wsprism.realtime.room.fan_out import Apart
from wsprism.realtime.room.inbox import size_of
from wsprism.realtime.room.values import values_frame

if TYPE_CHECKING:
    from qos import Frame
    from wsprism.protocol.places import Position
    from wsprism.realtime.messages import Exclusion
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.line import Other, Publication, Question
    from wsprism.realtime.session import Session

__all__ = ["MOST_OTHERS_AT_ONCE", "Turn"]

MOST_OTHERS_AT_ONCE: Final = 64
"""Joins, leaves and questions of one turn."""

_MOST_LISTINGS_AT_ONCE: Final = 8
_TO_THE_END: Final = 1 << 62


class Turn:
    """``others`` are carried out when everybody has the turn, and ``closes`` behind them.

    ``apart``: who does not get exactly all of it. ``dropped``: places whose publication is not to be heard.
    ``recovers``: who is served from the history from a position on. ``top``: the newest offset of before the turn.
    ``taken`` and ``listings`` are what it cost so far. Of its publications ``look`` says whether somebody waits to hear
    of one (``answers``), has gone mute meanwhile (``muted``) or does not get one that is in it (``sorts``).
    """

    __slots__ = (
        "_fed",
        "_moved",
        "_room",
        "answers",
        "apart",
        "closes",
        "dropped",
        "listings",
        "muted",
        "others",
        "publications",
        "recovers",
        "sorts",
        "taken",
        "top",
    )

    def __init__(self, room: Room) -> None:
        self._room = room
        self.answers = self.muted = self.sorts = False
        self.publications: list[Publication] = []
        self.others: list[RoomJoin | RoomLeave] = []
        self.apart: dict[Session, Apart] | None = None
        self.dropped: set[int] = set()
        self.closes: CloseRoom | None = None
        self.recovers: dict[Session, Position] | None = None
        self.top = 0
        self.listings = 0
        self.taken = 0
        self._fed = 0
        self._moved: set[Session] = set()

    def look(self) -> int:
        """Look once at all publications; their size in bytes while they waited."""
        size_bytes = 0
        for one in self.publications:
            size_bytes += size_of(one)
            if one.ack or (isinstance(one, ExtPublication) and one.told is not None):
                self.answers = True
            if one.exclude is not None or not one.echo:
                self.sorts = True
            if one.sender is not None and one.sender.muted:
                self.muted = True
        return size_bytes

    def takes(self, item: Other) -> bool:
        """Whether ``item`` can have its place in this turn; else it begins the next one."""
        if self.closes is not None or self.taken >= MOST_OTHERS_AT_ONCE:
            return False
        if isinstance(item, CloseRoom):
            self.closes = item
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
            way.begins_at = way.ends_at = _TO_THE_END
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
                room.snapshot.forget(user)

    def _snapshot_at(self, at: int) -> list[Frame]:
        """The newest hot frames of before the position ``at``, for somebody who joins there."""
        if at:
            self.feed_snapshot()
        return self._room.snapshot.frames()

    def feed_snapshot(self) -> None:
        """As far as the turn has been made."""
        room = self._room
        fresh = self.publications[self._fed :]
        self._fed = len(self.publications)
        room.snapshot.feed(fresh, room.tenant.rules, room.context.ref)

    def recover(self, session: Session, since: Position) -> None:
        """``session`` is served from the history, from ``since`` on, and gets nothing of this turn otherwise."""
        if self.recovers is None:
            self.recovers = {}
        self.recovers[session] = since

    def leave_out(self) -> None:
        """Whoever relays does not get what it relayed, and whom the backend excludes not what it is excluded from."""
        excludes = False
        roster = self._room.members.roster
        for at, publication in enumerate(self.publications):
            if publication.exclude is not None:
                excludes = True
            if not publication.echo and publication.sender is not None:
                sender = publication.sender
                if sender in roster or (self.apart is not None and sender in self.apart):
                    self._way(sender).left_out.add(at)
        if excludes:
            self._leave_out_excluded()

    def _leave_out_excluded(self) -> None:
        of_user: dict[str, list[tuple[int, Exclusion]]] = {}
        of_sid: dict[str, list[int]] = {}
        for at, publication in enumerate(self.publications):
            exclude = publication.exclude
            if exclude is not None and exclude.user is not None:
                of_user.setdefault(exclude.user, []).append((at, exclude))
            elif exclude is not None and exclude.sid is not None:
                of_sid.setdefault(exclude.sid, []).append(at)
        for session in self._room.members.and_joining(self.apart or ()):
            places = [at for at, exclude in of_user.get(session.user, ()) if exclude.covers(session)]
            places += of_sid.get(session.sid, ())
            if places:
                self._way(session).left_out.update(places)

    def drop_the_muted(self) -> None:
        """Without what those have said who were put out or ended since: they are mute from that moment."""
        room = self._room.context.ref
        for at, publication in enumerate(self.publications):
            sender = publication.sender
            if sender is None or not sender.was_put_out_of(room):
                continue
            self.dropped.add(at)
            if publication.ack and not sender.ended:
                refusal = sysmsg.error(ErrorCode.NOT_ALLOWED, NO_MEMBER, sender.trace_id, publication.seq)
                sender.outlet.send(refusal)
        self.drop("refused")

    def drop(self, outcome: str) -> None:
        """Take out what is ``dropped``, of which a trace says ``outcome``; every place in the turn follows."""
        dropped = self.dropped
        if not dropped:
            return
        self._room.samples.end([self.publications[at] for at in dropped], outcome)
        before = 0
        new_place = []
        for at in range(len(self.publications) + 1):
            new_place.append(at - before)
            before += at in dropped
        self.publications = [one for at, one in enumerate(self.publications) if at not in dropped]
        for way in (self.apart or {}).values():
            way.begins_at = new_place[min(way.begins_at, len(new_place) - 1)]
            way.ends_at = new_place[min(way.ends_at, len(new_place) - 1)]
            way.told = [(new_place[at], frame) for at, frame in way.told]
        self.dropped = set()

    def _way(self, session: Session) -> Apart:
        if self.apart is None:
            self.apart = {}
        way = self.apart.get(session)
        if way is None:
            begins_at = _TO_THE_END if session in self._room.members.replays else 0
            way = self.apart[session] = Apart(begins_at, _TO_THE_END)
        return way


def _lists_presence(item: RoomJoin | RoomLeave | Question) -> bool:
    """Whether it is answered with everybody who is there."""
    if isinstance(item, RoomJoin):
        return item.wants is not None and item.wants.presence
    return isinstance(item, PresenceQuery)
