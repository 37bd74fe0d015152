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
from qos import Frame, Lane, QueueLimits
from wsprism.policy.decisions import Reason
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON
from wsprism.protocol.places import Position
from wsprism.realtime.messages import (
    CloseRoom,
    Exclusion,
    ExtPublication,
    HistoryChanged,
    HistoryQuery,
    HotPublication,
    JoinAccepted,
    Left,
    MembersQuery,
    NextSlice,
    PresenceDue,
    PresenceQuery,
    PresenceState,
    PresenceWanted,
    PublicationList,
    RoomEmptied,
    RoomJoin,
    RoomLeave,
    SampledPublication,
)
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.wire import WireFormat
from wsprism.realtime.room.blocks import frame_of
from wsprism.realtime.room.fan_out import Apart, FanOut
from wsprism.realtime.room.history import RoomHistory
from wsprism.realtime.room.history_page import answer_of
from wsprism.realtime.room.inbox import Inbox, size_of
from wsprism.realtime.room.presence import NO_PRESENCE, PresenceRound, RoomPresence, shown_to
from wsprism.realtime.room.publications import numbered_frame
from wsprism.realtime.room.recovery import Replay
from wsprism.realtime.room.snapshot import RoomSnapshot
from wsprism.realtime.rules import TenantContext, TenantRules
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

_MOST_AT_ONCE: Final = 512
_MOST_BYTES_AT_ONCE: Final = 256 * 1024
_MOST_OTHERS_AT_ONCE: Final = 64
"""What one fan-out carries, publications and others: encoding it is one step."""

_OTHERS_WORK: Final = 8
"""A join, a leave or a question is as much work as so many offers."""

_MOST_LINKED: Final = 128
"""Of so many members a sampled publication looks whether their connection is traced too."""

_MOST_LISTINGS_AT_ONCE: Final = 8
_LISTING_WORK: Final = 64
"""A listing of everybody, in offers that take as long."""

_TO_THE_END: Final = 1 << 62
_NO_MEMBER: Final = "not a member of the room"

_Publication = ExtPublication | HotPublication
_Question = MembersQuery | HistoryQuery | PresenceQuery | PresenceState
_Item = ExtPublication | HotPublication | RoomJoin | RoomLeave | _Question | CloseRoom


class _Offer:
    """The flusher's word to a room: the next writes are due."""


class Room(Actor):
    """Created by its tenant for the first member, closed by it after the last.

    ``users`` is the tenant's count of who is in it. ``inbox`` is told what is on its way. ``history`` is there where
    the tenant's rooms may have one; ``remembers``: this one has. ``replays`` are of members who recover.
    """

    def __init__(
        self,
        name: str,
        roster: Roster,
        users: Counter[str],
        inbox: Inbox,
        tenant: TenantContext,
        flusher: Flusher,
        history: RoomHistory | None = None,
        snapshot: RoomSnapshot | None = None,
    ) -> None:
        self.name = name
        self.presence: RoomPresence | None = None
        self.snapshot = RoomSnapshot() if snapshot is None else snapshot
        self.history = history
        self.remembers = False
        self.replays: dict[Session, Replay] = {}
        self._roster = roster
        self._users = users
        self._inbox = inbox
        self._tenant = tenant
        self._rules: TenantRules | None = None
        self._presence_due = False
        self._flusher = flusher
        self._members: dict[WireFormat, list[Session]] | None = None
        self._line: list[_Item] = []
        self._others_in_line = 0
        self._hot_in_line = 0
        self._samples: list[SampledPublication] = []
        self._fan_out: FanOut | PresenceRound | None = None
        self._turn = _Turn(self)
        self._told_to_go_on = False
        self._gathers = False

    def on_start(self) -> None:
        """A restarted room keeps its members and tells them that a message may be missing."""
        for session in self._roster:
            session.outlet.send(
                sysmsg.error(ErrorCode.INTERNAL, "the room was restarted; a message may be lost", session.trace_id)
            )
        if self.history is not None:
            self.context.ref.tell_control(HistoryChanged())
        if self._roster and self._tenant.presences.get(self.name) is not None:
            self.context.ref.tell_control(PresenceDue())

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """What is in the line besides publications costs nobody his join or leave: it begins anew."""
        others: list[object] = [*self._turn.others, *([self._turn.closes] if self._turn.closes else ())]
        others += [one for one in self._line if not isinstance(one, ExtPublication | HotPublication)]
        for item in others:
            self.context.ref.tell_control(item)
        self._forget_what_may_be_lost()

    def receive(self, message: object) -> None:
        kind = message.__class__
        if kind is ExtPublication:
            self._line.append(message)  # type: ignore[arg-type]
        elif kind is HotPublication:
            if message.sender is None:  # type: ignore[attr-defined]
                self._number_hot((message,))  # type: ignore[arg-type]
            self._line.append(message)  # type: ignore[arg-type]
            self._hot_in_line += 1
        elif kind is NextSlice:
            self._told_to_go_on = False
            self._go_on()
        elif kind is _Offer:
            self._gathers = False
            self._go_on()
        elif isinstance(message, PublicationList):
            self._number_hot(message.publications)
            self._line.extend(message.publications)
            self._hot_in_line += sum(isinstance(one, HotPublication) for one in message.publications)
        elif isinstance(message, SampledPublication):
            self._samples.append(message)
            self.receive(message.publication)
        elif isinstance(
            message,
            RoomJoin | RoomLeave | MembersQuery | HistoryQuery | PresenceQuery | PresenceState | CloseRoom,
        ):
            self._line.append(message)
            self._others_in_line += 1
        elif kind is HistoryChanged:
            self._look_at_history()
        elif kind is PresenceDue:
            self._presence_due = True
            if self._fan_out is None:
                self._go_on()
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
                if self._presence_due:
                    fan_out = self._fan_out = self._next_round()
                if fan_out is None:
                    if not self._line:
                        return
                    fan_out = self._fan_out = self._next_fan_out()
            budget = fan_out.go_on(budget)
            if fan_out.done:
                budget -= len(fan_out.publications) + _OTHERS_WORK * self._turn.taken
                self._fan_out = None
                budget -= self._turn.listings * _LISTING_WORK
                self._end_turn(fan_out.publications)
                self._carry_out_others()
                if self.presence is not None:
                    self._ask_for_tick(self.presence)
                if budget > 0:
                    continue
                if not self._line and not self._presence_due:
                    return
            if not self._told_to_go_on:
                self._told_to_go_on = self.context.ref.tell_control(NextSlice())
            return

    def _next_fan_out(self) -> FanOut:
        """The front of the line, as far as one fan-out carries it; joins and leaves in it are carried out."""
        if self.history is not None:
            self._look_at_history()
        if self._tenant.rules is not self._rules:
            self._look_at_rules()
        turn = self._turn = _Turn(self)
        if self.replays and self.history is not None:
            turn.top = self.history.top()
        if self._others_in_line or len(self._line) > _MOST_AT_ONCE or self._inbox.waiting_bytes > _MOST_BYTES_AT_ONCE:
            self._take_in_order(turn)
        else:
            turn.publications, self._line = self._line, []  # type: ignore[assignment]
            self._hot_in_line = 0
        publications = turn.publications
        if self.snapshot.rules is not None:
            self._feed_snapshot(turn)
        self._inbox.gone(len(publications), sum(map(size_of, publications)))
        if any(one.sender is not None and one.sender.muted for one in publications):
            self._drop_the_muted(turn)
        if self.remembers:
            self._remember(turn)
        publications = turn.publications
        backend = self._tenant.backend
        if backend is not None and backend.tells("publication", self.name):
            for publication in publications:
                if isinstance(publication, ExtPublication) and publication.sender is not None:
                    tell_publication(backend, self.name, publication)
        turn.leave_out()
        members = self._group_members()
        wires = set(members)
        if turn.apart is not None:
            wires.update(session.outlet.format for session in turn.apart)
        frames: dict[WireFormat, list[Frame]] = {
            wire: [frame_of(one, wire, self.name) for one in publications] for wire in wires
        }
        return FanOut(publications, frames, members, turn.apart, self._flusher)

    def _number_hot(self, publications: Sequence[_Publication]) -> None:
        """What a backend published names no room yet; what clients said does, where frames are to have it."""
        rules, number = self._tenant.rules, self._inbox.number
        if not rules.hot_room_numbers:
            return
        framing = rules.hot_framing
        for publication in publications:
            if isinstance(publication, HotPublication) and publication.sender is None:
                publication.frame = numbered_frame(publication.frame, framing, number)

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
        shed: list[_Publication] = []
        surplus = self._hot_in_line - self._most_hot()
        kept: list[_Item] = []
        size_bytes = 0
        for item in self._line:
            if surplus > 0 and isinstance(item, HotPublication):
                surplus -= 1
                size_bytes += size_of(item)
                self._answer(item)
                shed.append(item)
            else:
                kept.append(item)
        self._inbox.gone(len(self._line) - len(kept), size_bytes)
        self._tenant.counters.decisions.count(Reason.ROOM_HOT_SHED, len(self._line) - len(kept))
        self._hot_in_line = self._most_hot()
        self._line = kept
        self.snapshot.feed(shed, self._tenant.rules)
        self._end_samples_of(shed, Reason.ROOM_HOT_SHED.value)

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
        self._drop(turn, "refused")

    def _drop(self, turn: _Turn, outcome: str) -> None:
        if turn.dropped:
            self._end_samples_of([turn.publications[at] for at in turn.dropped], outcome)
            turn.drop()

    # History

    def _look_at_history(self) -> None:
        """Whether the room remembers; its members are told when what they know of it is no more."""
        history = self.history
        self.remembers = history is not None and history.in_force()
        if history is None or not self.remembers:
            return
        position = history.lost()
        if position is None or not self._roster:
            return
        gap = ExtPublication("sys", "gap", JSON.encode({"epoch": position.epoch, "offset": position.offset}))
        self._line.insert(0, gap)
        self._inbox.waiting += 1
        self._inbox.waiting_bytes += size_of(gap)

    def _remember(self, turn: _Turn) -> None:
        """The turn's publications get their offsets; what was published before is acknowledged and left out."""
        assert self.history is not None
        fresh = [one for one in turn.publications if isinstance(one, ExtPublication) and one.svc != "sys"]
        if not fresh:
            return
        self.history.append(fresh, members=bool(self._roster or turn.others))
        for at, one in enumerate(turn.publications):
            if isinstance(one, ExtPublication) and one.again:
                turn.dropped.add(at)
                self._answer(one)
        self._drop(turn, "again")

    def _forget_what_may_be_lost(self) -> None:
        """After a crash: what was on its way may have reached some and not others, and what waited nobody."""
        lost = [*self._turn.publications, *self._line]
        publications = [one for one in lost if isinstance(one, ExtPublication)]
        for publication in publications:
            if publication.told is not None:
                publication.told(None, lost=True)
        if self.history is not None and publications:
            self.history.end_epoch()
        for session in self.replays:
            session.outlet.give_up("the room was restarted")

    @property
    def queue_limits(self) -> QueueLimits:
        return self._tenant.rules.queue_limits

    def replayed(self, messages: int) -> None:
        """So many have been sent to somebody who recovers."""
        self._tenant.counters.replayed_messages += messages

    def left_behind(self) -> None:
        """Somebody who recovers reads more slowly than the history forgets."""
        self._tenant.counters.recoveries["left_behind"] += 1

    def caught_up(self, session: Session, replay: Replay) -> None:
        """A member that recovered has all that there is: from the next turn on it gets what everybody gets."""
        if self.replays.get(session) is replay:
            del self.replays[session]
        self._members = None
        if not self.replays and self.history is not None:
            self.history.forget_blocks()

    # Presence and snapshot

    def _look_at_rules(self) -> None:
        """What the room has beyond live traffic, now and after each reload."""
        rules = self._rules = self._tenant.rules
        own = rules.rooms.of(self.name)
        self.snapshot.follow(own.snapshot if rules.conflation.active else None)
        if own.presence is None:
            if self.presence is not None:
                self._tenant.presences.drop(self.name)
            self.presence = None
            return
        begins = self._tenant.presences.get(self.name) is None
        presence = self.presence = self._tenant.presences.of(self.name, own.presence)
        if begins:
            for session in self._roster:
                presence.join(RoomJoin(session, None), self.context.ref, self._tenant.unix_now())

    def notes(self, item: RoomJoin | RoomLeave | _Question, turn: _Turn) -> None:
        """Presence and snapshot follow a join or leave at its place in the order."""
        presence, session = self.presence, item.session
        if isinstance(item, RoomJoin):
            if presence is not None:
                rules = presence.rules
                presence = self.presence = self._tenant.presences.of(self.name, rules)
                presence.join(item, self.context.ref, self._tenant.unix_now())
                presence.subscribe(session, asks=item.wants is not None and item.wants.presence)
        elif isinstance(item, RoomLeave):
            if presence is not None:
                presence.leave(session, self.context.ref, self._tenant.now(), lost=item.lost)
            if self.snapshot.rules is not None and session.user not in self._users:
                self._feed_snapshot(turn)
                self.snapshot.forget(session.user)

    def snapshot_at(self, turn: _Turn, at: int) -> list[Frame]:
        """The newest hot frames of before the position ``at``, for somebody who joins there."""
        if at:
            self._feed_snapshot(turn)
        return self.snapshot.frames()

    def _feed_snapshot(self, turn: _Turn) -> None:
        """As far as ``turn`` has been made, without what is not to be heard."""
        room = self.context.ref
        fresh = turn.publications[turn.fed :]
        turn.fed = len(turn.publications)
        heard = [
            one for one in fresh if one.sender is None or not one.sender.muted or not one.sender.was_put_out_of(room)
        ]
        self.snapshot.feed(heard, self._tenant.rules)

    def _ask_for_tick(self, presence: RoomPresence) -> None:
        now = self._tenant.now()
        due = presence.next_due(now)
        if due is not None and (presence.asked_for is None or due < presence.asked_for):
            presence.asked_for = due
            self._tenant.ref.tell_control(PresenceWanted(self.name, due))

    def _next_round(self) -> PresenceRound | None:
        """Who has lingered goes, and whoever is subscribed is told."""
        self._presence_due = False
        if self._tenant.rules is not self._rules:
            self._look_at_rules()
        presence = self.presence
        if presence is None:
            return None
        now = self._tenant.now()
        presence.asked_for = None
        presence.expire(now)
        self._turn = _Turn(self)
        return PresenceRound(self.name, presence, self._tenant.counters)

    def _answer_presence(self, item: PresenceQuery | PresenceState) -> Frame | None:
        session, presence = item.session, self.presence
        wire = session.outlet.format
        refusal = None
        if presence is None:
            refusal = NO_PRESENCE
        elif isinstance(item, PresenceState) and not presence.set_state(session, self.context.ref, item.state):
            refusal = _NO_MEMBER
        if refusal is not None or presence is None:
            message = sysmsg.error(ErrorCode.NOT_ALLOWED, refusal or NO_PRESENCE, session.trace_id, item.seq)
        elif isinstance(item, PresenceQuery):
            message = sysmsg.room_presence(self.name, shown_to(wire, presence.listing()), item.seq)
        elif item.ack:
            message = sysmsg.ack(item.seq, session.trace_id)
        else:
            return None
        return Frame(wire.encode(message), Lane.RELIABLE, None)

    # Members

    def _group_members(self) -> dict[WireFormat, list[Session]]:
        """By wire format. What is given out is never changed: a fan-out may hold it."""
        members = self._members
        if members is None:
            members = self._members = {}
            for session in self._roster:
                if session in self.replays:
                    continue
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
                if turn.recovers and session in turn.recovers:
                    self._begin_replay(session, turn.recovers[session])
                session.connection.tell_control(JoinAccepted(self.name, self._inbox, item.token, item.active))
            elif isinstance(item, RoomLeave):
                self._carry_out_leave(item, turn.top)
        if turn.closes is not None:
            self._close(turn.closes)

    def _carry_out_leave(self, item: RoomLeave, top: int) -> None:
        session = item.session
        if self._roster.pop(session, self) is not self:
            self._members = None
        replay = self.replays.get(session) if self.replays else None
        if not self._roster:
            self.snapshot.clear()
        if replay is not None and item.announce:
            replay.leave_behind(top, item)
            return
        if replay is not None:
            self.replays.pop(session, None)
            replay.stop()
        if item.announce:
            session.connection.tell_control(Left(self.name, self.context.ref, item.token))

    def _begin_replay(self, session: Session, since: Position) -> None:
        assert self.history is not None
        before = self.replays.get(session)
        if before is not None:
            before.stop()
            if before.is_leaving:
                session.outlet.give_up("left and came back before it had caught up")
        replay = self.replays[session] = Replay(self, self.history, session, since)
        self._members = None
        session.outlet.feed_from(replay)

    def _close(self, item: CloseRoom) -> None:
        if self.history is None or item.final:
            if self.presence is not None:
                self._tenant.ref.tell_control(PresenceWanted(self.name, self._tenant.now()))
            self.context.stop()
            return
        self.history.left()
        self._tenant.ref.tell_control(RoomEmptied(self.name, self.context.ref))

    def frame_for(self, item: RoomJoin | RoomLeave | _Question, turn: _Turn) -> Frame | None:
        """What the session itself is told at this place in the order."""
        session = item.session
        if isinstance(item, RoomJoin):
            told: dict[str, object] = {"number": self._inbox.number} | self._standing(item, turn)
            if self.presence is not None and item.wants is not None and item.wants.presence:
                told["presence"] = shown_to(session.outlet.format, self.presence.listing())
            told = _told_to(item, told)
            message = sysmsg.joined(self.name, session.trace_id, seq=item.seq, data=told)
        elif isinstance(item, MembersQuery):
            message = sysmsg.room_members(self.name, users=len(self._users), sessions=len(self._roster), seq=item.seq)
        elif isinstance(item, HistoryQuery):
            message = answer_of(self._tenant, self.name, self.history if self.remembers else None, item)
        elif isinstance(item, PresenceQuery | PresenceState):
            return self._answer_presence(item)
        elif item.announce and session not in self.replays:
            message = sysmsg.left(self.name, session.trace_id, seq=item.seq)
        else:
            return None
        return Frame(session.outlet.format.encode(message), Lane.RELIABLE, None)

    def _standing(self, item: RoomJoin, turn: _Turn) -> dict[str, object]:
        """Where a joiner stands in the room's order, and whether it gets everything that it has missed."""
        since = None if item.wants is None else item.wants.since
        history = self.history
        if history is None or not self.remembers:
            return {} if since is None else {"recovered": False}
        position = history.open()
        standing: dict[str, object] = {"epoch": position.epoch, "offset": position.offset}
        if since is None:
            return standing
        missed = history.missed(since)
        self._tenant.counters.recoveries["lost" if missed is None else "recovered"] += 1
        if missed:
            turn.recover(item.session, since)
        standing["recovered"] = missed is not None
        standing["count"] = missed or 0
        return standing

    def is_member(self, session: Session) -> bool:
        """Whether it is one before the turn that is being made."""
        return session in self._roster

    def sessions_in(self, apart: dict[Session, Apart] | None) -> list[Session]:
        """The members before the turn, and who joins in it."""
        joining = [one for one in apart or () if one not in self._roster]
        return [*self._roster, *joining]

    # The end of a turn

    def _end_turn(self, publications: Sequence[_Publication]) -> None:
        for publication in publications:
            if publication.ack or (isinstance(publication, ExtPublication) and publication.told is not None):
                self._answer(publication)
        if self._samples:
            self._end_samples(publications)

    def _end_samples(self, publications: Sequence[_Publication]) -> None:
        """They stand in every member's queue; a trace ends when the last of them has been written to."""
        for sample in self._take_samples(publications):
            publication, trace = sample.publication, sample.trace
            trace.mark("room")
            queue_class = "hot" if isinstance(publication, HotPublication) else "reliable"
            trace.mark("enqueue", **{"class": queue_class, "members": len(self._roster)})
            trace.links = [one.trace.ref for one in islice(self._roster, _MOST_LINKED) if one.trace is not None]
            last = next(
                (one for one in reversed(self._roster) if publication.echo or one is not publication.sender), None
            )
            self._flusher.when_written(last.outlet if last is not None else None, trace)

    def _end_samples_of(self, publications: Sequence[_Publication], outcome: str) -> None:
        """Nobody will hear these publications."""
        if self._samples:
            for sample in self._take_samples(publications):
                sample.trace.written(outcome)

    def _take_samples(self, publications: Sequence[_Publication]) -> list[SampledPublication]:
        """Those of ``publications``; the room forgets them."""
        here = set(map(id, publications))
        samples = [one for one in self._samples if id(one.publication) in here]
        self._samples = [one for one in self._samples if id(one.publication) not in here]
        return samples

    @staticmethod
    def _answer(publication: _Publication) -> None:
        """Whoever published waits to hear that it was taken."""
        sender = publication.sender
        offset = publication.offset if isinstance(publication, ExtPublication) else None
        if publication.ack and sender is not None:
            sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id, offset))
        if isinstance(publication, ExtPublication) and publication.told is not None:
            publication.told(offset)


def _told_to(join: RoomJoin, told: dict[str, object]) -> dict[str, object]:
    """The data of ``sys.joined``: the room's number, where it stands, and what the backend has to say."""
    answer = join.answer
    if answer is not None and bytes(answer.data):
        binary = join.session.outlet.format.codec.binary
        told["data"] = msgspec.json.decode(answer.data) if binary else answer.data
    return told


def _lists_presence(item: RoomJoin | RoomLeave | _Question) -> bool:
    """Whether it is answered with everybody who is there."""
    if isinstance(item, RoomJoin):
        return item.wants is not None and item.wants.presence
    return isinstance(item, PresenceQuery)


class _Turn:
    """The front of the line while its fan-out is being made."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.publications: list[_Publication] = []
        self.others: list[RoomJoin | RoomLeave] = []
        self.apart: dict[Session, Apart] | None = None
        self.dropped: set[int] = set()
        self.closes: CloseRoom | None = None
        self.recovers: dict[Session, Position] | None = None
        self.top = 0
        self.fed = 0
        self.listings = 0
        self.taken = 0
        self._moved: set[Session] = set()

    def takes(self, item: RoomJoin | RoomLeave | _Question | CloseRoom) -> bool:
        """Whether ``item`` can have its place in this turn; else it begins the next one."""
        if self.closes is not None or self.taken >= _MOST_OTHERS_AT_ONCE:
            return False
        if isinstance(item, CloseRoom):
            self.closes = item
            return True
        session = item.session
        if session in self._moved:
            return False
        room = self._room
        lists = room.presence is not None and _lists_presence(item)
        if lists and self.listings >= _MOST_LISTINGS_AT_ONCE:
            return False
        at = len(self.publications)
        is_member = room.is_member(session)
        if room.remembers:
            if at and self._needs_the_front(item, is_member):
                return False
            at = 0 if isinstance(item, RoomJoin) else at
        self.listings += lists
        self.taken += 1
        room.notes(item, self)
        frame = room.frame_for(item, self)
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
        if isinstance(item, RoomJoin) and room.snapshot.rules is not None:
            way.told.extend((at, one) for one in room.snapshot_at(self, at))
        return True

    def _needs_the_front(self, item: RoomJoin | RoomLeave | _Question, is_member: bool) -> bool:
        """In a room with a history: whether what it is told depends on all that was published before it.

        Who joins comes in before the whole turn, of which nobody knows anything yet.
        """
        return isinstance(item, HistoryQuery) or (
            is_member and (isinstance(item, RoomJoin) or item.session in self._room.replays)
        )

    def recover(self, session: Session, since: Position) -> None:
        """``session`` is served from the history, from ``since`` on, and gets nothing of this turn otherwise."""
        if self.recovers is None:
            self.recovers = {}
        self.recovers[session] = since

    def leave_out(self) -> None:
        """Whoever relays does not get what it relayed, and whom the backend excludes not what it is excluded from."""
        excludes = False
        for at, publication in enumerate(self.publications):
            if publication.exclude is not None:
                excludes = True
            if not publication.echo and publication.sender is not None:
                sender = publication.sender
                if self._room.is_member(sender) or (self.apart is not None and sender in self.apart):
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
        for session in self._room.sessions_in(self.apart):
            places = [at for at, exclude in of_user.get(session.user, ()) if exclude.covers(session)]
            places += of_sid.get(session.sid, ())
            if places:
                self._way(session).left_out.update(places)

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
            way.begins_at = new_place[min(way.begins_at, len(new_place) - 1)]
            way.ends_at = new_place[min(way.ends_at, len(new_place) - 1)]
            way.told = [(new_place[at], frame) for at, frame in way.told]
        self.dropped = set()

    def _way(self, session: Session) -> Apart:
        if self.apart is None:
            self.apart = {}
        way = self.apart.get(session)
        if way is None:
            begins_at = _TO_THE_END if session in self._room.replays else 0
            way = self.apart[session] = Apart(begins_at, _TO_THE_END)
        return way
