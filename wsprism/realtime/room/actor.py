"""A room: its members, and the one order in which they all see what is published into it.

Publications, joins, leaves and questions stand in one line and have their places in the order. A turn of that line is
encoded once per wire format and goes out as a ``FanOut``, in slices when it is much work. Limits are the tenant's
business; sockets are the flusher's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from actors import Actor
from qos import QueueLimits
from wsprism.policy.decisions import Reason
from wsprism.ports import BackendPort
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HistoryChanged,
    HistoryQuery,
    HotPublication,
    InfoChanged,
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
from wsprism.realtime.outbound.flusher import SLICE_SIZE, Flusher
from wsprism.realtime.room.answers import acknowledge
from wsprism.realtime.room.attendance import Attendance
from wsprism.realtime.room.blocks import blocks_of, frame_of
from wsprism.realtime.room.fan_out import FanOut
from wsprism.realtime.room.history import RoomHistory
from wsprism.realtime.room.inbox import Inbox
from wsprism.realtime.room.line import Line, Publication
from wsprism.realtime.room.members import Members
from wsprism.realtime.room.mixed_turn import MixedTurn
from wsprism.realtime.room.presence import PresenceRound
from wsprism.realtime.room.publications import numbered_frame
from wsprism.realtime.room.recovery import Replay
from wsprism.realtime.room.samples import Samples
from wsprism.realtime.room.snapshot import RoomSnapshot
from wsprism.realtime.room.step import Step
from wsprism.realtime.room.turn import Turn
from wsprism.realtime.room.values import values_publication
from wsprism.realtime.rules import TenantContext, TenantRules
from wsprism.realtime.session import Session
from wsprism.realtime.tail.telling import tell_tails
from wsprism.realtime.tenant.news import tell_publication
from wsprism.realtime.tenant.registry import Roster

__all__ = ["Room"]

FAN_OUT_WORK: Final = 512
"""Blocks and single frames that are offered before the loop has its turn: some 0.3 ms."""

_LARGE_ROOM: Final = SLICE_SIZE // 2

_GATHERING_SIZE: Final = 64
"""From so many members on, one offer for several messages is worth more than what it takes to gather them."""

_MOST_GATHERED: Final = 4096
"""Publications that gather until the next writes; for one more they do not."""

_OTHERS_WORK: Final = 8
"""A join, a leave or a question is as much work as so many offers."""

_LISTING_WORK: Final = 64
"""A listing of everybody, in offers that take as long."""


_BLOCKS_KEPT_S: Final = 5.0
"""What was encoded for one who recovered is there for the next, when many come back within some time."""


class _Offer:
    """The flusher's word to a room: the next writes are due."""


class _NobodyRecovers:
    """To itself: nobody did a while ago."""


class Room(Actor):
    """Created by its tenant for the first member, closed by it after the last.

    ``users`` is the tenant's count of who is in it. ``inbox`` is told what is on its way. ``history`` is there where
    the tenant's rooms may have one; ``remembers``: this one has.
    """

    __deletable__ = ("_no_turn", "_turn", "attendance")

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
        self.users = users
        self.inbox = inbox
        self.tenant = tenant
        self.history = history
        self.remembers = False
        self.snapshot = RoomSnapshot() if snapshot is None else snapshot
        self.members = Members(roster)
        self.samples = Samples(roster, flusher)
        self.attendance = Attendance(self)
        self._flusher = flusher
        self._rules: TenantRules | None = None
        self._line = Line(inbox)
        self._turn = self._no_turn = Turn(self, [])
        self._fan_out: FanOut | PresenceRound | None = None
        self._told_to_go_on = False
        self._gathers = False
        self._forgets_blocks = False

    def on_start(self) -> None:
        """A restarted room keeps its members and tells them that a message may be missing."""
        roster = self.members.roster
        for session in roster:
            session.outlet.send(
                sysmsg.error(ErrorCode.INTERNAL, "the room was restarted; a message may be lost", session.trace_id)
            )
        if self.history is not None:
            self.context.ref.tell_control(HistoryChanged())
        if roster and self.tenant.presences.get(self.name) is not None:
            self.context.ref.tell_control(PresenceDue())

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """What is in the line besides publications costs nobody his join or leave: it begins anew."""
        turn = self._turn
        others: list[object] = []
        if isinstance(turn, MixedTurn):
            others += [*turn.others, *([turn.closes] if turn.closes else ())]
        others += [one for one in self._line.items if not isinstance(one, ExtPublication | HotPublication | Step)]
        for item in others:
            self.context.ref.tell_control(item)
        self._forget_what_may_be_lost()

    def on_stop(self) -> None:
        """It and its parts know each other: parted, they go now, and not when the collector looks at everything."""
        del self.attendance, self._turn, self._no_turn

    def receive(self, message: object) -> None:
        kind = type(message)
        if kind is ExtPublication:
            self._line.items.append(message)  # type: ignore[arg-type]
        elif kind is HotPublication:
            if message.sender is None:  # type: ignore[attr-defined]
                self._number_hot((message,))  # type: ignore[arg-type]
            self._line.add_hot(message)  # type: ignore[arg-type]
        elif kind is NextSlice:
            self._told_to_go_on = False
            self._go_on()
        elif kind is _Offer:
            self._gathers = False
            self._go_on()
        elif isinstance(message, PublicationList):
            self._number_hot(message.publications)
            self._line.add_all(message.publications)
        elif isinstance(message, SampledPublication):
            self.samples.waiting.append(message)
            self.receive(message.publication)
        elif isinstance(
            message,
            RoomJoin
            | RoomLeave
            | MembersQuery
            | HistoryQuery
            | PresenceQuery
            | PresenceState
            | InfoChanged
            | CloseRoom,
        ):
            self._line.add_other(message)
        elif kind is HistoryChanged:
            self._look_at_history()
        elif kind is _NobodyRecovers:
            self._forget_blocks()
        elif kind is PresenceDue:
            self.attendance.is_due = True
            if self._fan_out is None:
                self._go_on()
        else:
            raise TypeError(f"a room takes no {kind.__name__}")

    def after_turn(self) -> None:
        """Have the line go out in its order, unless more is to gather.

        Under load a large room gathers what is published until the next writes are due: one offer to every member then
        serves many messages.
        """
        line = self._line
        if line.hot > 2 and line.hot > 2 * self._most_hot():
            self._shed_hot()
        if line.items and self._fan_out is None and not (self._flusher.holding and self._may_gather()):
            self._go_on()
        if self.inbox.waiting and not line.items and not self.context.ref.pending:
            self.inbox.waiting = self.inbox.waiting_bytes = 0

    # The line

    def _may_gather(self) -> bool:
        """While writes are held: whether only publications wait, in a room that is large enough."""
        if self._line.others or len(self._line.items) >= _MOST_GATHERED:
            return False
        if len(self.members.roster) < _GATHERING_SIZE:
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
                if self.attendance.is_due:
                    fan_out = self._next_round()
                if fan_out is None:
                    if not self._line.items:
                        return
                    fan_out = self._next_fan_out()
                self._fan_out = fan_out
            budget = fan_out.go_on(budget)
            if not fan_out.done:
                break
            self._fan_out = None
            budget -= self._end_turn()
            if not self._line.items and not self.attendance.is_due:
                return
            if budget <= 0:
                break
        if not self._told_to_go_on:
            self._told_to_go_on = self.context.ref.tell_control(NextSlice())

    def _next_fan_out(self) -> FanOut:
        """The front of the line, as far as one fan-out carries it; joins and leaves in it are carried out."""
        tenant = self.tenant
        if tenant.rules is not self._rules:
            if self.history is not None:
                self._look_at_history()
            self._look_at_rules()
        elif self.remembers:
            self._look_at_history()
        turn = self._turn = self._line.take(self)
        if self.snapshot.rules is not None:
            turn.feed_snapshot()
        turn.look()
        if turn.muted:
            turn.drop_the_muted()
        if self.remembers:
            self._remember(turn)
        if tenant.backend is not None:
            self._tell_backend(tenant.backend, turn.publications)
        if tenant.tails:
            tell_tails(tenant.tails, self.name, turn.publications)
        if turn.sorts:
            turn.leave_out()
        return self._fan_out_of(turn)

    def _fan_out_of(self, turn: Turn) -> FanOut:
        """The turn as blocks, made once for each wire format that somebody has."""
        publications, name = turn.publications, self.name
        groups = []
        members = self.members.groups() if publications else {}
        for wire, outlets in members.items():
            groups.append((outlets, blocks_of([frame_of(one, wire, name) for one in publications])))
        large = len(self.members.roster) > _LARGE_ROOM
        if turn.apart is None:
            return FanOut(groups, self._flusher, large)
        made = {wire: blocks for wire, (_, blocks) in zip(members, groups, strict=True)}
        ways = []
        for session, way in turn.apart.items():
            outlet = session.outlet
            wire = outlet.format
            if wire not in made:
                frames = [frame_of(one, wire, name) for one in publications]
                made[wire] = blocks_of(frames) if frames else []
            ways.append((outlet, way, made[wire]))
        return FanOut(groups, self._flusher, large, ways)

    def _tell_backend(self, backend: BackendPort, publications: Sequence[Publication]) -> None:
        if backend.tells("publication", self.name):
            for publication in publications:
                if isinstance(publication, ExtPublication) and (publication.sender or publication.author) is not None:
                    tell_publication(backend, self.name, publication)

    def _next_round(self) -> PresenceRound | None:
        self.attendance.is_due = False
        if self.tenant.rules is not self._rules:
            self._look_at_rules()
        presence_round = self.attendance.next_round()
        if presence_round is not None:
            self._turn = self._no_turn
        return presence_round

    def _look_at_rules(self) -> None:
        """What the room has beyond live traffic, now and after each reload."""
        rules = self._rules = self.tenant.rules
        own = rules.rooms.of(self.name)
        self.snapshot.follow(own.snapshot if rules.conflation.active else None)
        self.attendance.follow(own.presence)
        self._look_at_values()

    def _look_at_values(self) -> None:
        """What services keep that a reload has taken away, members know no more."""
        table = self.tenant.values
        for name in sorted(table.take_forgotten(self.name)):
            self._line.put_first(values_publication(name, self.name, table.of(self.name, name)))

    def _number_hot(self, publications: Sequence[Publication]) -> None:
        """What a backend published names no room yet; what clients said does, where frames are to have it."""
        rules, number = self.tenant.rules, self.inbox.number
        if not rules.hot_room_numbers:
            return
        framing = rules.hot_framing
        for publication in publications:
            if isinstance(publication, HotPublication) and publication.sender is None:
                publication.frame = numbered_frame(publication.frame, framing, number)

    def _shed_hot(self) -> None:
        """Of so many hot frames no member would get more than the newest: the older ones give way."""
        shed = self._line.shed_hot(self._most_hot())
        for publication in shed:
            acknowledge(publication)
        self.tenant.counters.decisions.count(Reason.ROOM_HOT_SHED, len(shed))
        self.snapshot.feed(shed, self.tenant.rules, self.context.ref)
        self.samples.end(shed, Reason.ROOM_HOT_SHED.value)

    def _most_hot(self) -> int:
        return max(1, self.tenant.rules.queue_limits.hot_max_frames)

    def forget_frames_of(self, user: str) -> None:
        """Nobody of ``user`` is in the room any more: nor is what the snapshot has of it."""
        self.snapshot.forget(user)

    # History

    def _look_at_history(self) -> None:
        """Whether the room remembers; its members are told when what they know of it is no more."""
        history = self.history
        self.remembers = history is not None and history.in_force()
        if history is None or not self.remembers:
            return
        position = history.lost()
        if position is None or not self.members.roster:
            return
        told = JSON.encode({"epoch": position.epoch, "offset": position.offset})
        self._line.put_first(ExtPublication("sys", "gap", told))

    def _remember(self, turn: Turn) -> None:
        """The turn's publications get their offsets; what was published before is acknowledged and left out."""
        assert self.history is not None
        fresh = [one for one in turn.publications if isinstance(one, ExtPublication) and one.svc != "sys"]
        if not fresh:
            return
        members = self.members
        somebody = bool(members.roster or (isinstance(turn, MixedTurn) and turn.others))
        self.history.append(fresh, members=somebody, wires=members.groups().keys())
        for at, one in enumerate(turn.publications):
            if isinstance(one, ExtPublication) and one.again:
                turn.drop_at(at)
                acknowledge(one)
        turn.drop("again")

    def _forget_what_may_be_lost(self) -> None:
        """After a crash: what was on its way may have reached some and not others, and what waited nobody."""
        lost = [*self._turn.publications, *self._line.items]
        publications = [one for one in lost if isinstance(one, ExtPublication)]
        for publication in publications:
            if publication.told is not None:
                publication.told(None, lost=True)
        if self.history is not None and publications:
            self.history.end_epoch()
        for session in self.members.replays:
            session.outlet.give_up("the room was restarted")
        if self.history is not None:
            self.history.forget_blocks()

    @property
    def queue_limits(self) -> QueueLimits:
        return self.tenant.rules.queue_limits

    def replayed(self, messages: int) -> None:
        """So many have been sent to somebody who recovers."""
        self.tenant.counters.replayed_messages += messages

    def left_behind(self) -> None:
        """Somebody who recovers reads more slowly than the history forgets."""
        self.tenant.counters.recoveries["left_behind"] += 1

    def caught_up(self, session: Session, replay: Replay) -> None:
        """A member that recovered has all that there is."""
        self.members.caught_up(session, replay)
        if not self.members.replays and not self._forgets_blocks:
            self._forgets_blocks = True
            self.context.call_later(_BLOCKS_KEPT_S, _NobodyRecovers())

    def _forget_blocks(self) -> None:
        self._forgets_blocks = False
        if not self.members.replays and self.history is not None:
            self.history.forget_blocks()

    # The end of a turn

    def _end_turn(self) -> int:
        """Everybody has the turn: what comes behind it, and how much work it was besides offering."""
        turn = self._turn
        publications = turn.publications
        work = len(publications)
        if turn.answers:
            for publication in publications:
                acknowledge(publication)
        if self.samples.waiting:
            self.samples.go_on(publications)
        self._turn = self._no_turn
        if isinstance(turn, MixedTurn):
            work += _OTHERS_WORK * turn.taken + _LISTING_WORK * turn.listings
            self._carry_out_others(turn)
        if self.attendance.presence is not None:
            self.attendance.ask_for_tick()
        return work

    def _carry_out_others(self, turn: MixedTurn) -> None:
        """Joins and leaves of a turn that everybody has: from the next one on they count."""
        for item in turn.others:
            session = item.session
            if isinstance(item, RoomJoin):
                self.members.add(session)
                if turn.recovers and session in turn.recovers:
                    assert self.history is not None
                    self.members.begin_replay(self, self.history, session, turn.recovers[session])
                session.connection.tell_control(JoinAccepted(self.name, self.inbox, item.token, item.active))
            elif isinstance(item, RoomLeave):
                self._carry_out_leave(item, turn.top)
        if turn.closes is not None:
            self._close(turn.closes)

    def _carry_out_leave(self, item: RoomLeave, top: int) -> None:
        session, members = item.session, self.members
        members.remove(session)
        if not members.roster:
            self.snapshot.clear()
        replay = members.replays.get(session) if members.replays else None
        if replay is not None and item.announce:
            replay.leave_behind(top, item)
            return
        if replay is not None:
            members.end_replay(session)
        if item.announce:
            session.connection.tell_control(Left(self.name, self.context.ref, item.token))

    def _close(self, item: CloseRoom) -> None:
        if self.history is None or item.final:
            if self.attendance.presence is not None:
                self.tenant.ref.tell_control(PresenceWanted(self.name, self.tenant.now()))
            self.context.stop()
            return
        self.history.left()
        self.tenant.ref.tell_control(RoomEmptied(self.name, self.context.ref))
