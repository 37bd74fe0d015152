"""A room: its members, and the one order in which they all see what is published into it.

It encodes a publication once per wire format and offers each turn's frames to every member as one shared block.
Limits are the tenant's business; sockets are the flusher's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors import Actor
from qos import Block, Frame, Lane, Verdict
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.blocks import blocks_of
from wsprism.realtime.flusher import SLICE_SIZE, Flusher
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HotPublication,
    JoinAccepted,
    Left,
    MembersQuery,
    PublicationList,
    RoomJoin,
    RoomLeave,
)
from wsprism.realtime.outlet import Outlet
from wsprism.realtime.registry import Roster
from wsprism.realtime.session import Session
from wsprism.realtime.wire import WireFormat

__all__ = ["Room"]

_WAKE = Verdict.WAKE
_RELIABLE = Lane.RELIABLE
_HOT = Lane.HOT


class Room(Actor):
    """Created by its tenant for the first member, closed by it after the last."""

    def __init__(self, name: str, roster: Roster, flusher: Flusher) -> None:
        self.name = name
        self._flusher = flusher
        self._roster = roster
        self._members: dict[WireFormat, list[tuple[Callable[[Block], Verdict], Session, Outlet]]] = {}
        self._grouped = True
        self._turn: list[ExtPublication | HotPublication] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            RoomJoin: self._join,
            RoomLeave: self._leave,
            MembersQuery: self._tell_members,
            PublicationList: self._publish_all,
            CloseRoom: self._close,
        }

    def on_start(self) -> None:
        """A restarted room keeps its members and tells them that a message may be missing."""
        for session in self._roster:
            session.outlet.send(
                sysmsg.error(ErrorCode.INTERNAL, "the room was restarted; a message may be lost", session.trace_id)
            )
        self._group_members()

    def receive(self, message: object) -> None:
        kind = message.__class__
        if kind is ExtPublication or kind is HotPublication:
            self._turn.append(message)  # type: ignore[arg-type]
        else:
            try:
                self.after_turn()
            finally:  # a publication that fails costs nobody a join or leave
                self._handlers[kind](message)

    def after_turn(self) -> None:
        """Offer what this turn gathered to every member, in the order in which it came."""
        turn = self._turn
        if not turn:
            return
        self._turn = []
        if not self._grouped:
            self._group_members()
        large = len(self._roster) > SLICE_SIZE // 2
        withheld = {one.sender for one in turn if not one.echo and one.sender is not None}
        for wire, members in self._members.items():
            frames = [self._frame(publication, wire) for publication in turn]
            woken: list[Outlet] = []
            for block in blocks_of(frames):
                for offer_block, session, outlet in members:
                    if withheld and session in withheld:
                        continue
                    verdict = offer_block(block)
                    if verdict is _WAKE:
                        woken.append(outlet)
                    elif verdict:
                        outlet.settle(verdict)
            if len(woken) == 1:
                self._flusher.mark(woken[0], large=large)
            elif woken:
                self._flusher.mark_all(woken, large=large)
            for session in withheld:
                if session.outlet.format is wire and session in self._roster:
                    self._offer_without_own(session, turn, frames)
        for publication in turn:
            if publication.ack:
                self._acknowledge(publication)

    def _frame(self, publication: ExtPublication | HotPublication, wire: WireFormat) -> Frame:
        if isinstance(publication, HotPublication):
            return Frame(publication.frame, _HOT, publication.key)
        message = sysmsg.publication(publication.svc, publication.type, self.name, publication.data)
        return Frame(wire.encode(message), _RELIABLE, None)

    @staticmethod
    def _offer_without_own(session: Session, turn: list[ExtPublication | HotPublication], frames: list[Frame]) -> None:
        own = [
            frame
            for publication, frame in zip(turn, frames, strict=True)
            if publication.echo or publication.sender is not session
        ]
        if own:
            session.outlet.offer_block(Block(own))

    @staticmethod
    def _acknowledge(publication: ExtPublication | HotPublication) -> None:
        sender = publication.sender
        if sender is not None:
            sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id))

    def _join(self, message: RoomJoin) -> None:
        session = message.session
        if session not in self._roster:
            self._roster[session] = None
            if self._grouped:
                self._add_member(session)
        session.outlet.send(sysmsg.joined(self.name, session.trace_id, seq=message.seq))
        session.connection.tell_control(JoinAccepted(self.name, self.context.ref, message.asked))

    def _leave(self, message: RoomLeave) -> None:
        session = message.session
        if self._roster.pop(session, self) is not self:
            self._grouped = False  # many may leave before anything is published
        if message.announce:
            session.outlet.send(sysmsg.left(self.name, session.trace_id, seq=message.seq))
            session.connection.tell_control(Left(self.name, message.asked))

    def _tell_members(self, message: MembersQuery) -> None:
        session = message.session
        users = len({member.user for member in self._roster})
        session.outlet.send(sysmsg.room_members(self.name, users=users, sessions=len(self._roster), seq=message.seq))

    def _publish_all(self, message: PublicationList) -> None:
        self._turn.extend(message.publications)

    def _close(self, _: CloseRoom) -> None:
        self.context.stop()

    def _group_members(self) -> None:
        self._members = {}
        self._grouped = True
        for session in self._roster:
            self._add_member(session)

    def _add_member(self, session: Session) -> None:
        members = self._members.setdefault(session.outlet.format, [])
        members.append((session.outlet.queue.offer_block, session, session.outlet))
