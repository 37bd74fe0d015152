"""A room: its members, and the one order in which they all see what is published into it.

Publications, joins, leaves and questions stand in one line and have their places in the order. A turn of that line is
encoded once per wire format and goes out as a ``FanOut``, in slices when it is much work. Limits are the tenant's
business; sockets are the flusher's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from actors import Actor
from qos import Frame, Lane
from wsprism.policy.decisions import Reason
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
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.wire import WireFormat
from wsprism.realtime.room.blocks import frame_of
from wsprism.realtime.room.fan_out import Apart, FanOut
from wsprism.realtime.room.inbox import Inbox, size_of
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session
from wsprism.realtime.tenant.news import tell_publication
from wsprism.realtime.tenant.registry import Roster

__all__ = ["Room"]

FAN_OUT_WORK: Final = 512
"""Blocks and single frames that are offered before the loop has its turn: some 0.3 ms."""

_GATHERING_SIZE: Final = 64
"""From so many members on, one offer for several messages is worth more than what it takes to gather them."""

_MOST_GATHERED: Final = 4096
"""Publications that gather until the next writes; for one more they do not."""

_MOST_AT_ONCE: Final = 1024
_MOST_BYTES_AT_ONCE: Final = 512 * 1024
"""What one fan-out carries: encoding it is one step."""

_MOST_LINKED: Final = 128
"""Of so many members a sampled publication looks whether their connection is traced too."""

_TO_THE_END: Final = 1 << 62
_NO_MEMBER: Final = "not a member of the room"

_Publication = ExtPublication | HotPublication
_Item = ExtPublication | HotPublication | RoomJoin | RoomLeave | MembersQuery | CloseRoom


class _Offer:
    """The flusher's word to a room: the next writes are due."""


class Room(Actor):
    """Created by its tenant for the first member, closed by it after the last.

    ``users`` is the tenant's count of who is in it. ``inbox`` is told what is on its way.
    """

    def __init__(
        self,
        name: str,
        roster: Roster,
        users: Counter[str],
        inbox: Inbox,
        tenant: TenantContext,
        flusher: Flusher,
    ) -> None:
        self.name = name
        self._roster = roster
        self._users = users
        self._inbox = inbox
        self._tenant = tenant
        self._flusher = flusher
        self._members: dict[WireFormat, list[Session]] | None = None
        self._line: list[_Item] = []
        self._others_in_line = 0
        self._hot_in_line = 0
        self._samples: list[SampledPublication] = []
        self._fan_out: FanOut | None = None
        self._turn = _Turn(self)
        self._told_to_go_on = False
        self._gathers = False

    def on_start(self) -> None:
        """A restarted room keeps its members and tells them that a message may be missing."""
        for session in self._roster:
            session.outlet.send(
                sysmsg.error(ErrorCode.INTERNAL, "the room was restarted; a message may be lost", session.trace_id)
            )

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """What is in the line besides publications costs nobody his join or leave: it begins anew."""
        others: list[object] = [*self._turn.others, *([CloseRoom()] if self._turn.closes else ())]
        others += [one for one in self._line if not isinstance(one, ExtPublication | HotPublication)]
        for item in others:
            self.context.ref.tell_control(item)

    def receive(self, message: object) -> None:
        kind = message.__class__
        if kind is ExtPublication:
            self._line.append(message)  # type: ignore[arg-type]
        elif kind is HotPublication:
            self._line.append(message)  # type: ignore[arg-type]
            self._hot_in_line += 1
        elif kind is NextSlice:
            self._told_to_go_on = False
            self._go_on()
        elif kind is _Offer:
            self._gathers = False
            self._go_on()
        elif isinstance(message, PublicationList):
            self._line.extend(message.publications)
            self._hot_in_line += sum(isinstance(one, HotPublication) for one in message.publications)
        elif isinstance(message, SampledPublication):
            self._samples.append(message)
            self.receive(message.publication)
        elif isinstance(message, RoomJoin | RoomLeave | MembersQuery | CloseRoom):
            self._line.append(message)
            self._others_in_line += 1
        else:
            raise TypeError(f"a room takes no {kind.__name__}")

    def after_turn(self) -> None:
        """Have the line go out in its order, unless more is to gather.

        Under load a large room gathers what is published until the next writes are due: one offer to every member then
        serves many messages.
        """
        if self._hot_in_line > 2 * self._most_hot():
            self._shed_hot()
        if self._line and self._fan_out is None and not self._may_gather():
            self._go_on()
        if not self._line and not self.context.ref.pending:
            self._inbox.waiting = self._inbox.waiting_bytes = 0

    # The line

    def _may_gather(self) -> bool:
        """Whether nothing would be written yet anyway, and only publications wait."""
        if self._others_in_line or len(self._line) >= _MOST_GATHERED:
            return False
        if not self._flusher.holding or len(self._roster) < _GATHERING_SIZE:
            return False
        if not self._gathers:
            self._gathers = True
            self._flusher.before_next_slice(lambda: self.context.ref.tell_control(_Offer()))
        return True

    def _go_on(self) -> None:
        """As much of the line as one turn's budget of work allows; the rest when the loop has had its turn."""
        budget = FAN_OUT_WORK
        while True:
            fan_out = self._fan_out
            if fan_out is None:
                if not self._line:
                    return
                fan_out = self._fan_out = self._next_fan_out()
            budget = fan_out.go_on(budget)
            if fan_out.done:
                self._fan_out = None
                self._end_turn(fan_out.publications)
                self._carry_out_others()
                if budget > 0:
                    continue
                if not self._line:
                    return
            if not self._told_to_go_on:
                self._told_to_go_on = self.context.ref.tell_control(NextSlice())
            return

    def _next_fan_out(self) -> FanOut:
        """The front of the line, as far as one fan-out carries it; joins and leaves in it are carried out."""
        turn = self._turn = _Turn(self)
        if self._others_in_line or len(self._line) > _MOST_AT_ONCE // 16:
            self._take_in_order(turn)
        else:
            turn.publications, self._line = self._line, []  # type: ignore[assignment]
            self._hot_in_line = 0
        publications = turn.publications
        self._inbox.gone(len(publications), sum(map(size_of, publications)))
        if any(one.sender is not None and one.sender.muted for one in publications):
            self._drop_the_muted(turn)
            publications = turn.publications
        backend = self._tenant.backend
        if backend is not None and backend.tells("publication", self.name):
            for publication in publications:
                if isinstance(publication, ExtPublication) and publication.sender is not None:
                    tell_publication(backend, self.name, publication)
        turn.leave_out_own()
        members = self._group_members()
        wires = set(members)
        if turn.apart is not None:
            wires.update(session.outlet.format for session in turn.apart)
        frames: dict[WireFormat, list[Frame]] = {
            wire: [frame_of(one, wire, self.name) for one in publications] for wire in wires
        }
        return FanOut(publications, frames, members, turn.apart, self._flusher)

    def _take_in_order(self, turn: _Turn) -> None:
        line, publications = self._line, turn.publications
        taken = size_bytes = 0
        for item in line:
            if isinstance(item, ExtPublication | HotPublication):
                size_bytes += size_of(item)
                if publications and (len(publications) >= _MOST_AT_ONCE or size_bytes > _MOST_BYTES_AT_ONCE):
                    break
                publications.append(item)
                self._hot_in_line -= isinstance(item, HotPublication)
            elif turn.takes(item):
                self._others_in_line -= 1
            else:
                break
            taken += 1
        del line[:taken]

    def _shed_hot(self) -> None:
        """Of so many hot frames no member would get more than the newest: the older ones give way."""
        surplus = self._hot_in_line - self._most_hot()
        kept: list[_Item] = []
        size_bytes = 0
        for item in self._line:
            if surplus > 0 and isinstance(item, HotPublication):
                surplus -= 1
                size_bytes += size_of(item)
                self._acknowledge(item)
            else:
                kept.append(item)
        self._inbox.gone(len(self._line) - len(kept), size_bytes)
        self._tenant.counters.decisions.count(Reason.ROOM_HOT_SHED, len(self._line) - len(kept))
        self._hot_in_line = self._most_hot()
        self._line = kept

    def _most_hot(self) -> int:
        return max(1, self._tenant.rules.queue_limits.hot_max_frames)

    def _drop_the_muted(self, turn: _Turn) -> None:
        """Without what those have said who were put out or ended since: they are mute from that moment."""
        room = self.context.ref
        for at, publication in enumerate(turn.publications):
            sender = publication.sender
            if sender is None or not sender.was_put_out_of(room):
                continue
            turn.dropped.add(at)
            if publication.ack and not sender.ended:
                refusal = sysmsg.error(ErrorCode.NOT_ALLOWED, _NO_MEMBER, sender.trace_id, publication.seq)
                sender.outlet.send(refusal)
        if turn.dropped:
            gone = {id(turn.publications[at]) for at in turn.dropped}
            for sample in [one for one in self._samples if id(one.publication) in gone]:
                self._samples.remove(sample)
                sample.trace.written("refused")
            turn.drop()

    # Members

    def _group_members(self) -> dict[WireFormat, list[Session]]:
        """By wire format. What is given out is never changed: a fan-out may hold it."""
        members = self._members
        if members is None:
            members = self._members = {}
            for session in self._roster:
                members.setdefault(session.outlet.format, []).append(session)
        return members

    def _carry_out_others(self) -> None:
        """Joins and leaves of a turn that everybody has: from the next one on they count."""
        turn, self._turn = self._turn, _Turn(self)
        for item in turn.others:
            session = item.session
            if isinstance(item, RoomJoin):
                if session not in self._roster:
                    self._roster[session] = None
                    self._members = None
                session.connection.tell_control(JoinAccepted(self.name, self._inbox, item.token))
            elif isinstance(item, RoomLeave):
                if self._roster.pop(session, self) is not self:
                    self._members = None
                if item.announce:
                    session.connection.tell_control(Left(self.name, self.context.ref, item.token))
        if turn.closes:
            self.context.stop()

    def frame_for(self, item: RoomJoin | RoomLeave | MembersQuery) -> Frame | None:
        """What the session itself is told at this place in the order."""
        session = item.session
        if isinstance(item, RoomJoin):
            message = sysmsg.joined(self.name, session.trace_id, seq=item.seq, data=_told_to(item))
        elif isinstance(item, MembersQuery):
            message = sysmsg.room_members(self.name, users=len(self._users), sessions=len(self._roster), seq=item.seq)
        elif item.announce:
            message = sysmsg.left(self.name, session.trace_id, seq=item.seq)
        else:
            return None
        return Frame(session.outlet.format.encode(message), Lane.RELIABLE, None)

    def is_member(self, session: Session) -> bool:
        """Whether it is one before the turn that is being made."""
        return session in self._roster

    # The end of a turn

    def _end_turn(self, publications: Sequence[_Publication]) -> None:
        for publication in publications:
            if publication.ack:
                self._acknowledge(publication)
        if self._samples:
            self._end_samples(publications)

    def _end_samples(self, publications: Sequence[_Publication]) -> None:
        """They stand in every member's queue; a trace ends when the last of them has been written to."""
        here = set(map(id, publications))
        samples = [one for one in self._samples if id(one.publication) in here]
        self._samples = [one for one in self._samples if id(one.publication) not in here]
        for sample in samples:
            publication, trace = sample.publication, sample.trace
            trace.mark("room")
            queue_class = "hot" if isinstance(publication, HotPublication) else "reliable"
            trace.mark("enqueue", **{"class": queue_class, "members": len(self._roster)})
            trace.links = [one.trace.ref for one in islice(self._roster, _MOST_LINKED) if one.trace is not None]
            last = next(
                (one for one in reversed(self._roster) if publication.echo or one is not publication.sender), None
            )
            self._flusher.when_written(last.outlet if last is not None else None, trace)

    @staticmethod
    def _acknowledge(publication: _Publication) -> None:
        sender = publication.sender
        if publication.ack and sender is not None:
            sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id))


def _told_to(join: RoomJoin) -> dict[str, object] | None:
    """The data of ``sys.joined``; None: there is nothing to say."""
    told: dict[str, object] = {}
    answer = join.answer
    if answer is not None and bytes(answer.data):
        binary = join.session.outlet.format.codec.binary
        told["data"] = msgspec.json.decode(answer.data) if binary else answer.data
    return told or None


class _Turn:
    """The front of the line while its fan-out is being made."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.publications: list[_Publication] = []
        self.others: list[RoomJoin | RoomLeave | MembersQuery] = []
        self.apart: dict[Session, Apart] | None = None
        self.dropped: set[int] = set()
        self.closes = False
        self._moved: set[Session] = set()

    def takes(self, item: RoomJoin | RoomLeave | MembersQuery | CloseRoom) -> bool:
        """Whether ``item`` can have its place in this turn; else it begins the next one."""
        if self.closes:
            return False
        if isinstance(item, CloseRoom):
            self.closes = True
            return True
        session = item.session
        if session in self._moved:
            return False
        at = len(self.publications)
        is_member = self._room.is_member(session)
        frame = self._room.frame_for(item)
        if isinstance(item, MembersQuery):
            if not is_member:
                session.outlet.offer(frame)  # type: ignore[arg-type]
                return True
        else:
            self._moved.add(session)
            self.others.append(item)
        way = self._way(session)
        if isinstance(item, RoomJoin) and not is_member:
            way.begins_at = at
        if isinstance(item, RoomLeave):
            way.ends_at = at
        if frame is not None:
            way.told.append((at, frame))
        return True

    def leave_out_own(self) -> None:
        """Whoever relays does not get what it relayed."""
        for at, publication in enumerate(self.publications):
            if not publication.echo and publication.sender is not None:
                sender = publication.sender
                if self._room.is_member(sender) or (self.apart is not None and sender in self.apart):
                    self._way(sender).left_out.add(at)

    def drop(self) -> None:
        """Take out what is ``dropped``; every place in the turn follows."""
        dropped = self.dropped
        before = 0
        new_place = []
        for at in range(len(self.publications) + 1):
            new_place.append(at - before)
            before += at in dropped
        self.publications = [one for at, one in enumerate(self.publications) if at not in dropped]
        for way in (self.apart or {}).values():
            way.begins_at = new_place[way.begins_at]
            way.ends_at = new_place[min(way.ends_at, len(new_place) - 1)]
            way.told = [(new_place[at], frame) for at, frame in way.told]

    def _way(self, session: Session) -> Apart:
        if self.apart is None:
            self.apart = {}
        way = self.apart.get(session)
        if way is None:
            way = self.apart[session] = Apart(0, _TO_THE_END)
        return way
