"""Presence in one room: it follows who joins, leaves and shows a state, and answers who is there.

The ``RoomPresence`` itself is the tenant's, for it outlives the room; here is what the room does with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qos import Frame, Lane
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import PresenceQuery, PresenceState, PresenceWanted, RoomJoin
from wsprism.realtime.room.presence import NO_PRESENCE, PresenceRound, shown_to

if TYPE_CHECKING:
    from wsprism.policy.room_rules import PresenceRules
    from wsprism.realtime.messages import RoomLeave
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.presence import RoomPresence
    from wsprism.realtime.session import Session

__all__ = ["NO_MEMBER", "Attendance"]

NO_MEMBER: Final = "not a member of the room"


class Attendance:
    """``presence`` None: the room has none. ``is_due``: it has something to tell whoever is subscribed."""

    __slots__ = ("_room", "is_due", "presence")

    def __init__(self, room: Room) -> None:
        self.presence: RoomPresence | None = None
        self.is_due = False
        self._room = room

    def follow(self, rules: PresenceRules | None) -> None:
        """A reload may have begun or ended it, or changed its rules."""
        room = self._room
        presences = room.tenant.presences
        if rules is None:
            if self.presence is not None:
                presences.drop(room.name)
            self.presence = None
            return
        begins = presences.get(room.name) is None
        presence = self.presence = self._of(rules)
        if begins:
            for session in room.members.roster:
                presence.join(RoomJoin(session, None), room.context.ref, room.tenant.unix_now())

    def join(self, item: RoomJoin) -> None:
        presence, room = self.presence, self._room
        if presence is None:
            return
        presence = self.presence = self._of(presence.rules)
        presence.join(item, room.context.ref, room.tenant.unix_now())
        presence.subscribe(item.session, asks=item.wants is not None and item.wants.presence)

    def leave(self, item: RoomLeave) -> None:
        if self.presence is not None:
            room = self._room
            self.presence.leave(item.session, room.context.ref, room.tenant.now(), lost=item.lost)

    def show_info(self, session: Session) -> None:
        """What is public of a member is another."""
        if self.presence is not None:
            self.presence.set_info(session, self._room.context.ref)

    def ask_for_tick(self) -> None:
        """The tenant says when the next change is to be told, if there is one."""
        presence, tenant = self.presence, self._room.tenant
        if presence is None:
            return
        due = presence.next_due(tenant.now())
        if due is not None and (presence.asked_for is None or due < presence.asked_for):
            presence.asked_for = due
            tenant.ref.tell_control(PresenceWanted(self._room.name, due))

    def next_round(self) -> PresenceRound | None:
        """Who has lingered goes, and whoever is subscribed is told."""
        presence, room = self.presence, self._room
        if presence is None:
            return None
        now = room.tenant.now()
        presence.asked_for = None
        presence.expire(now)
        return PresenceRound(room.name, presence, room.tenant.counters)

    def answer(self, item: PresenceQuery | PresenceState) -> Frame | None:
        """Who is there, or whether the state is shown."""
        session, presence, room = item.session, self.presence, self._room
        wire = session.outlet.format
        refusal = None
        if presence is None:
            refusal = NO_PRESENCE
        elif isinstance(item, PresenceState) and not presence.set_state(session, room.context.ref, item.state):
            refusal = NO_MEMBER
        if refusal is not None or presence is None:
            message = sysmsg.error(ErrorCode.NOT_ALLOWED, refusal or NO_PRESENCE, session.trace_id, item.seq)
        elif isinstance(item, PresenceQuery):
            message = sysmsg.room_presence(room.name, shown_to(wire, presence.listing()), item.seq)
        elif item.ack:
            message = sysmsg.ack(item.seq, session.trace_id)
        else:
            return None
        return Frame(wire.encode(message), Lane.RELIABLE, None)

    def _of(self, rules: PresenceRules) -> RoomPresence:
        """The room's, which begins now if there is none."""
        return self._room.tenant.presences.of(self._room.name, rules)
