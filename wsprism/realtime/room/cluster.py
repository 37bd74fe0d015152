"""A room over nodes: the broker gives its publications their order; behind that it is a room like any other.

What members publish goes to the broker and comes back in batches, which go into the line. While the room does not stand
where the broker's room stands, or does not know who is present and what they share, whoever joins waits. ADR 0035,
0041, 0049.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors import ActorRef
from wsprism.ports import Batch
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HotPublication,
    MembersQuery,
    PublicationList,
    RoomLeave,
    SampledPublication,
    ValueWork,
)
from wsprism.realtime.room.actor import Room
from wsprism.realtime.room.counting import asks_registry
from wsprism.realtime.room.ears import Ears, Heard, HotFrames, PresentNow, Signal
from wsprism.realtime.room.hot_exchange import HotExchange, HotTick
from wsprism.realtime.room.inbox import MAX_WAITING, MAX_WAITING_BYTES
from wsprism.realtime.room.place import Place, PlaceNews
from wsprism.realtime.room.roll_call import RollNews
from wsprism.realtime.room.shared_attendance import SharedAttendance
from wsprism.realtime.room.shared_values import SharedValues, ValuesNews
from wsprism.realtime.room.waiting import GiveUp, Held, Waiting

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from wsprism.ports import Broker, Mirror, Subscription
    from wsprism.realtime.messages import RoomJoin
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.room.history import RoomHistory
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.room.mixed_turn import MixedTurn
    from wsprism.realtime.room.outbox import Outbox
    from wsprism.realtime.room.recovery import Replay
    from wsprism.realtime.room.snapshot import RoomSnapshot
    from wsprism.realtime.room.step import Step
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.registry import Roster

__all__ = ["ClusterRoom"]


class _ToldAll:
    """To itself: it knows who is present, or what their values are."""


class ClusterRoom(Room):
    """``outbox`` outlives its crash; ``mirror`` is where ``history`` lives."""

    def __init__(
        self,
        name: str,
        roster: Roster,
        users: Counter[str],
        inbox: Inbox,
        tenant: TenantContext,
        flusher: Flusher,
        history: RoomHistory,
        snapshot: RoomSnapshot,
        broker: Broker,
        mirror: Mirror,
        outbox: Outbox,
    ) -> None:
        super().__init__(name, roster, users, inbox, tenant, flusher, history, snapshot)
        self.attendance = self._shared = SharedAttendance(self, broker)
        self.values = SharedValues(self, broker)
        self._broker = broker
        self._mirror = mirror
        self._outbox = outbox
        self._subscription: Subscription | None = None
        self._ears: Ears | None = None
        self._waiting = Waiting(self)
        self._place = Place(self, broker, mirror)
        self._hot = HotExchange(self, broker)

    def on_start(self) -> None:
        super().on_start()
        self._subscribe()

    def on_failure(self, error: Exception) -> None:
        super().on_failure(error)
        for item in self._waiting.held:
            self.context.ref.tell_control(item)

    def on_stop(self) -> None:
        """What it has heard is nobody's any more; what is with the broker is answered by the outbox."""
        self._hot.tick()
        if self._subscription is not None:
            self._subscription.close()
        self._mirror.drop(self.name)
        self._shared.end()
        self.values.end()

    def receive(self, message: object) -> None:
        kind = message.__class__
        if kind is ExtPublication:
            self._outbox.add(message)  # type: ignore[arg-type]
        elif kind is Heard:
            self._hear(message)  # type: ignore[arg-type]
        elif kind is HotPublication:
            super().receive(message)
            self._hot.gather((message,), self._most_hot())  # type: ignore[arg-type]
        elif isinstance(message, SampledPublication) and isinstance(message.publication, ExtPublication):
            self._outbox.add(message.publication, message.trace)
        elif isinstance(message, PublicationList):
            self._take_list(message)
        elif isinstance(message, Held):
            if not self._waiting.holds(message):
                super().receive(message)
        elif isinstance(message, MembersQuery):
            if not asks_registry(self, message):
                super().receive(message)
        elif isinstance(message, PlaceNews):
            self._place.hear_of_read(message)
            self._let_in()
        elif isinstance(message, ValueWork):
            self._outbox.add_work(message)
        elif isinstance(message, ValuesNews):
            if self.values.hear_of_read(message):
                self._let_in()
        elif isinstance(message, RollNews):
            self._shared.hear_of_roll(message)
        elif kind is _ToldAll:
            self._let_in()
        elif isinstance(message, GiveUp):
            self._give_up(message)
        elif kind is HotTick:
            self._hot.tick()
        else:
            super().receive(message)

    def after_turn(self) -> None:
        outbox, inbox = self._outbox, self.inbox
        outbox.send(self.context.ref)
        super().after_turn()
        if self._place.is_due() and self._fan_out is None and not self._line.has_ext():
            self._place.read()
        if not inbox.waiting:
            inbox.waiting, inbox.waiting_bytes = outbox.count, outbox.size_bytes

    # What is published here

    def _take_list(self, message: PublicationList) -> None:
        hot = tuple(one for one in message.publications if isinstance(one, HotPublication))
        ext = tuple(one for one in message.publications if isinstance(one, ExtPublication))
        if hot:
            super().receive(PublicationList(hot))
            self._hot.gather(hot, self._most_hot())
        if ext:
            self._outbox.add_all(ext)

    # What the broker says

    def _subscribe(self) -> None:
        """Listen, with the bounds of now."""
        if self._subscription is not None:
            self._subscription.close()
        bounds = self._place.bounds = self.tenant.rules.rooms.of(self.name).history
        self._ears = Ears(self.context.ref)
        self._place.lose()
        self._shared.lost()
        self._subscription = self._hot.subscription = self._broker.subscribe(self.name, bounds, self._ears)

    def _hear(self, heard: Heard) -> None:
        if heard.ears is not self._ears:
            return
        what = heard.what
        if isinstance(what, Batch):
            self._place.hear(what)
        elif isinstance(what, HotFrames):
            self._hot.hear(what.frames)
        elif isinstance(what, PresentNow):
            self._shared.hear(what.user, what.sid, what.entry)
        elif what is Signal.SUBSCRIBED:
            self._place.fall_behind()
            self._shared.subscribed()
        else:
            self._place.lose()
            self._shared.lost()

    def add_ordered(self, publications: Sequence[ExtPublication], size_bytes: int) -> bool:
        """Behind all that waits in its line, if there is room for them."""
        line, inbox = self._line, self.inbox
        if line.items and (
            len(line.items) + len(publications) > MAX_WAITING
            or inbox.waiting_bytes + size_bytes > 2 * MAX_WAITING_BYTES
        ):
            return False
        line.items.extend(publications)
        inbox.waiting += len(publications)
        inbox.waiting_bytes += size_bytes
        return True

    def say_first(self, publication: ExtPublication) -> None:
        """Before everything that waits."""
        self._line.put_first(publication)

    def say_last(self, publication: ExtPublication) -> None:
        """Behind everything that waits."""
        self._line.items.append(publication)
        self.inbox.waiting += 1

    # Where the room stands

    @property
    def stands(self) -> bool:
        """Whether it stands where it should, and knows who is present and what they share."""
        return self._place.live and self._shared.known and self.values.known

    def _look_at_values(self) -> None:
        self.values.follow()

    def _look_at_history(self) -> None:
        """Whether the room remembers. What became of its history is the broker's to say."""
        history = self.history
        assert history is not None
        in_force = history.in_force()
        self.remembers = in_force and (self._place.mirrors or self.remembers)
        if history.bounds != self._place.bounds:
            self._place.mirrors = False
            self._subscribe()

    # Who waits for it

    def wait(self) -> None:
        """Whoever joins waits for a while."""
        self._waiting.begin()

    def read_again(self) -> None:
        """It may be behind."""
        self._place.fall_behind()

    def lags_behind(self, join: RoomJoin) -> bool:
        """Whether who joins has seen more of the room, on another node, than has come here."""
        return self._place.lags_behind(join)

    def told_all(self) -> None:
        """It knows who is present."""
        self.context.ref.tell_control(_ToldAll())

    def add_hot(self, publication: HotPublication) -> None:
        """What another node's member, or backend, has said."""
        self._line.add_hot(publication)

    def forget_frames_of(self, user: str) -> None:
        super().forget_frames_of(user)
        self._hot.tell_gone(user)

    def add_step(self, step: Step) -> None:
        """Behind all that waits in its line."""
        self._line.add_other(step)

    def ends_with(self, step: Step) -> bool:
        """Whether nothing has come behind it."""
        return bool(self._line.items) and self._line.items[-1] is step

    def caught_up(self, session: Session, replay: Replay) -> None:
        super().caught_up(session, replay)
        if session.muted:
            self._outbox.leave_out_the_muted(self.context.ref)

    def _carry_out_others(self, turn: MixedTurn) -> None:
        """Whoever was put out is mute only until its connection knows it: what waits outside has no later moment."""
        if any(isinstance(one, RoomLeave) and one.session.muted for one in turn.others):
            self._outbox.leave_out_the_muted(self.context.ref)
        super()._carry_out_others(turn)

    def _let_in(self) -> None:
        if self.stands:
            for item in self._waiting.let_in():
                super().receive(item)

    def _give_up(self, word: GiveUp) -> None:
        if self._waiting.is_due(word):
            self._outbox.refuse_waiting()
            for item in self._waiting.give_up():
                super().receive(item)

    def _close(self, item: CloseRoom) -> None:
        """Not before everything that was published here has been answered: one actor at a time speaks for a room."""
        ref: ActorRef = self.context.ref
        if self.members.roster:
            return
        if self._outbox.busy and not item.final:
            self._outbox.when_empty = lambda: ref.tell_control(item)
        else:
            super()._close(item)
