"""A room: its members, and the one order in which they all see what is published into it.

It encodes a publication once per wire format and offers each turn's frames to every member as one shared block.
Limits are the tenant's business; sockets are the flusher's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from actors import Actor
from qos import Block, Frame, Verdict
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HotPublication,
    JoinAccepted,
    Left,
    MembersQuery,
    NextSlice,
    PublicationList,
    RoomJoin,
    RoomLeave,
    SampledPublication,
)
from wsprism.realtime.outbound.flusher import SLICE_SIZE, Flusher
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.outbound.wire import WireFormat
from wsprism.realtime.room.blocks import blocks_of, frame_of
from wsprism.realtime.session import Session
from wsprism.realtime.tenant.registry import Roster

__all__ = ["Room"]

FAN_OUT_SIZE: Final = 512
"""Members that are offered a turn's frames before the loop has its turn: some 0.3 ms."""

_GATHERING_SIZE: Final = 64
"""From so many members on, one offer for several messages is worth more than what it takes to gather them."""

_MAX_WAITING: Final = 4096
"""Publications that wait for a fan-out in slices, or for the next writes; for one more they do not."""

_Turn = list[ExtPublication | HotPublication]

_Member = tuple[Callable[[Block], Verdict], Outlet]
_Members = dict[Session, _Member]

_MOST_LINKED: Final = 128
"""Of so many members a sampled publication looks whether their connection is traced too."""

_WAKE = Verdict.WAKE
_NO_MEMBER: Final = "not a member of the room"


class _Offer:
    """The flusher's word to a room: the next writes are due."""


class Room(Actor):
    """Created by its tenant for the first member, closed by it after the last."""

    def __init__(self, name: str, roster: Roster, flusher: Flusher) -> None:
        self.name = name
        self._flusher = flusher
        self._roster = roster
        self._members: dict[WireFormat, _Members] = {}
        self._turn: _Turn = []
        self._samples: list[SampledPublication] = []
        self._fan_out: Iterator[None] | None = None
        self._told_to_go_on = False
        self._gathers = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            RoomJoin: self._join,
            RoomLeave: self._leave,
            MembersQuery: self._tell_members,
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
        elif kind is PublicationList:
            self._turn.extend(message.publications)  # type: ignore[attr-defined]
        elif kind is SampledPublication:
            self._turn.append(message.publication)  # type: ignore[attr-defined]
            self._samples.append(message)  # type: ignore[arg-type]
        elif kind is NextSlice:
            self._told_to_go_on = False
            self._go_on()
        elif kind is _Offer:
            self._gathers = False
            if self._fan_out is None:
                self._offer_turn()
        else:
            try:
                self._complete()
            finally:  # a publication that fails costs nobody a join or leave
                self._handlers[kind](message)

    def after_turn(self) -> None:
        """Offer what this turn gathered to every member, in the order in which it came.

        Under load a large room gathers what is published until the next writes are due: one offer to every member then
        serves many messages. A room larger than ``FAN_OUT_SIZE`` offers in slices, so that nobody else waits for all
        of it. What else the room is told has all of that done at once first.
        """
        if self._turn and not self._may_wait():
            self._offer_turn()

    def _may_wait(self) -> bool:
        """Whether more may gather: while a fan-out is under way, or nothing would be written yet anyway."""
        if len(self._turn) >= _MAX_WAITING:
            return False
        if self._fan_out is not None:
            return True
        if not self._flusher.holding or len(self._roster) < _GATHERING_SIZE:
            return False
        if not self._gathers:
            self._gathers = True
            self._flusher.before_next_slice(lambda: self.context.ref.tell_control(_Offer()))
        return True

    def _offer_turn(self) -> None:
        self._finish()
        turn, self._turn = self._turn, []
        if any(one.sender is not None and one.sender.muted for one in turn):
            turn = self._without_the_muted(turn)
        if not turn:
            return
        if len(self._roster) > FAN_OUT_SIZE:
            self._fan_out = self._offer_in_slices(turn)
            self._go_on()
        else:
            self._offer_at_once(turn)

    def _without_the_muted(self, turn: _Turn) -> _Turn:
        """Without what those have said who were put out or ended since: they are mute from that moment."""
        room = self.context.ref
        dropped = {id(one) for one in turn if one.sender is not None and one.sender.was_put_out_of(room)}
        for publication in turn:
            if id(publication) in dropped and publication.ack and not publication.sender.ended:
                refusal = sysmsg.error(ErrorCode.NOT_ALLOWED, _NO_MEMBER, publication.sender.trace_id, publication.seq)
                publication.sender.outlet.send(refusal)
        for sample in [one for one in self._samples if id(one.publication) in dropped]:
            self._samples.remove(sample)
            sample.trace.written("refused")
        return [one for one in turn if id(one) not in dropped]

    def _go_on(self) -> None:
        """One slice of the fan-out under way; the next when the loop has had its turn."""
        if self._fan_out is None:
            return
        if next(self._fan_out, self) is self:
            self._fan_out = None
        elif not self._told_to_go_on:
            self._told_to_go_on = self.context.ref.tell_control(NextSlice())

    def _finish(self) -> None:
        fan_out, self._fan_out = self._fan_out, None
        for _ in fan_out or ():
            pass

    def _complete(self) -> None:
        """Everything published so far stands in every member's queue on return."""
        self._offer_turn()
        self._finish()

    def _offer_at_once(self, turn: _Turn) -> None:
        """Offer a turn's frames to every member, then acknowledge."""
        samples = self._take_samples() if self._samples else ()
        withheld = _withheld(turn)
        large = len(self._roster) > SLICE_SIZE // 2
        for wire, members in self._members.items():
            frames = [frame_of(publication, wire, self.name) for publication in turn]
            self._offer(blocks_of(frames), members.items(), withheld, large)
            if withheld is not None:
                self._offer_without_own(members, withheld, turn, frames)
        self._end_turn(turn, samples)

    def _offer_in_slices(self, turn: _Turn) -> Iterator[None]:
        """The same for a large room, whose members do not change meanwhile: yields behind each slice of them."""
        samples = self._take_samples() if self._samples else ()
        withheld = _withheld(turn)
        for wire, members in self._members.items():
            frames = [frame_of(publication, wire, self.name) for publication in turn]
            blocks = blocks_of(frames)
            rest = iter(members.items())
            while some := list(islice(rest, FAN_OUT_SIZE)):
                self._offer(blocks, some, withheld, True)
                yield
            if withheld is not None:
                self._offer_without_own(members, withheld, turn, frames)
        self._end_turn(turn, samples)

    def _offer(
        self,
        blocks: Sequence[Block],
        members: Iterable[tuple[Session, _Member]],
        withheld: set[Session] | None,
        large: bool,
    ) -> None:
        """Offer whole blocks to all of ``members`` but those ``withheld``, and have those that were idle written to."""
        woken: list[Outlet] = []
        for block in blocks:
            for session, (offer_block, outlet) in members:
                if withheld is not None and session in withheld:
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

    @staticmethod
    def _offer_without_own(members: _Members, withheld: set[Session], turn: _Turn, frames: list[Frame]) -> None:
        """Offer those who relay everything of the turn but what they relayed."""
        for session in withheld:
            if session in members:
                own = [
                    frame
                    for publication, frame in zip(turn, frames, strict=True)
                    if publication.echo or publication.sender is not session
                ]
                if own:
                    session.outlet.offer_block(Block(own))

    def _end_turn(self, turn: _Turn, samples: Sequence[SampledPublication]) -> None:
        for publication in turn:
            if publication.ack:
                self._acknowledge(publication)
        for sample in samples:
            self._end_sample(sample)

    def _take_samples(self) -> Sequence[SampledPublication]:
        samples, self._samples = self._samples, []
        for sample in samples:
            sample.trace.mark("room")
        return samples

    def _end_sample(self, sample: SampledPublication) -> None:
        """It stands in every member's queue; its trace ends when the last of them has been written to."""
        publication, trace = sample.publication, sample.trace
        queue_class = "hot" if isinstance(publication, HotPublication) else "reliable"
        trace.mark("enqueue", **{"class": queue_class, "members": len(self._roster)})
        trace.links = [one.trace.ref for one in islice(self._roster, _MOST_LINKED) if one.trace is not None]
        last = next((one for one in reversed(self._roster) if publication.echo or one is not publication.sender), None)
        self._flusher.when_written(last.outlet if last is not None else None, trace)

    @staticmethod
    def _acknowledge(publication: ExtPublication | HotPublication) -> None:
        sender = publication.sender
        if sender is not None:
            sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id))

    def _join(self, message: RoomJoin) -> None:
        session = message.session
        if session not in self._roster:
            self._roster[session] = None
            self._add_member(session)
        session.outlet.send(sysmsg.joined(self.name, session.trace_id, seq=message.seq))
        session.connection.tell_control(JoinAccepted(self.name, self.context.ref, message.asked))

    def _leave(self, message: RoomLeave) -> None:
        session = message.session
        if self._roster.pop(session, self) is not self:
            del self._members[session.outlet.format][session]
        if message.announce:
            session.outlet.send(sysmsg.left(self.name, session.trace_id, seq=message.seq))
            session.connection.tell_control(Left(self.name, self.context.ref, message.asked))

    def _tell_members(self, message: MembersQuery) -> None:
        session = message.session
        users = len({member.user for member in self._roster})
        session.outlet.send(sysmsg.room_members(self.name, users=users, sessions=len(self._roster), seq=message.seq))

    def _close(self, _: CloseRoom) -> None:
        self.context.stop()

    def _group_members(self) -> None:
        self._members = {}
        for session in self._roster:
            self._add_member(session)

    def _add_member(self, session: Session) -> None:
        outlet = session.outlet
        self._members.setdefault(outlet.format, {})[session] = (outlet.queue.offer_block, outlet)


def _withheld(turn: _Turn) -> set[Session] | None:
    """Whoever does not get all of the turn, because it relays; None: nobody."""
    withheld = None
    for publication in turn:
        if not publication.echo and publication.sender is not None:
            withheld = withheld or set()
            withheld.add(publication.sender)
    return withheld
