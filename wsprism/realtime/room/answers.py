"""What a room tells one session alone, at its place in the order: who joins, leaves, asks or has published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from qos import Frame, Lane
from wsprism.protocol import sysmsg
from wsprism.realtime.messages import (
    ExtPublication,
    HistoryQuery,
    MembersQuery,
    PresenceQuery,
    PresenceState,
    RoomJoin,
)
from wsprism.realtime.room.history_page import answer_of
from wsprism.realtime.room.presence import shown_to
from wsprism.realtime.session import Session

if TYPE_CHECKING:
    from wsprism.realtime.messages import RoomLeave
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.line import Publication, Question
    from wsprism.realtime.room.mixed_turn import MixedTurn

__all__ = ["acknowledge", "frame_for"]


def frame_for(room: Room, item: RoomJoin | RoomLeave | Question, turn: MixedTurn) -> Frame | None:
    """What its session is told of ``item``; None: nothing."""
    session = item.session
    if isinstance(item, RoomJoin):
        message = sysmsg.joined(room.name, session.trace_id, seq=item.seq, data=_joined(room, item, turn))
    elif isinstance(item, MembersQuery):
        users, sessions = item.counts or (len(room.users), len(room.members.roster))
        message = sysmsg.room_members(room.name, users=users, sessions=sessions, seq=item.seq)
    elif isinstance(item, HistoryQuery):
        message = answer_of(room.tenant, room.name, room.history if room.remembers else None, item)
    elif isinstance(item, PresenceQuery | PresenceState):
        return room.attendance.answer(item)
    elif item.announce and session not in room.members.replays:
        message = sysmsg.left(room.name, session.trace_id, seq=item.seq)
    else:
        return None
    return Frame(session.outlet.format.encode(message), Lane.RELIABLE, None)


def _joined(room: Room, item: RoomJoin, turn: MixedTurn) -> dict[str, object]:
    """The data of ``sys.joined``: the room's number, where it stands, and what the backend has to say."""
    told: dict[str, object] = {"number": room.inbox.number} | _standing(room, item, turn)
    presence, answer, wire = room.attendance.presence, item.answer, item.session.outlet.format
    if presence is not None and item.wants is not None and item.wants.presence:
        told["presence"] = shown_to(wire, presence.listing())
    if answer is not None and bytes(answer.data):
        told["data"] = msgspec.json.decode(answer.data) if wire.codec.binary else answer.data
    return told


def _standing(room: Room, item: RoomJoin, turn: MixedTurn) -> dict[str, object]:
    """Where a joiner stands in the room's order, and whether it gets everything that it has missed."""
    since = None if item.wants is None else item.wants.since
    history = room.history
    if history is None or not room.remembers:
        return {} if since is None else {"recovered": False}
    position = history.open()
    standing: dict[str, object] = {"epoch": position.epoch, "offset": position.offset}
    if since is None:
        return standing
    missed = history.missed(since)
    room.tenant.counters.recoveries["lost" if missed is None else "recovered"] += 1
    if missed:
        turn.recover(item.session, since)
    standing["recovered"] = missed is not None
    standing["count"] = missed or 0
    return standing


def acknowledge(publication: Publication) -> None:
    """Whoever published waits to hear that it was taken."""
    sender = publication.sender
    offset = publication.offset if isinstance(publication, ExtPublication) else None
    if publication.ack and isinstance(sender, Session):
        sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id, offset))
    if isinstance(publication, ExtPublication) and publication.told is not None:
        publication.told(offset)
