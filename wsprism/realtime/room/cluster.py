"""A room over nodes: the broker gives its publications their order; behind that it is a room like any other.

What members publish goes to the broker and comes back in batches, which go into the line. While the room does not stand
where the broker's room stands (not subscribed, a jump, another epoch, a lost connection), whoever joins waits, and it
reads what is missing. ADR 0035.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from actors import ActorRef
from wsprism.policy.history import Position
from wsprism.ports import Batch, Unavailable
from wsprism.protocol import sysmsg
from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import text_frame
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HotPublication,
    MembersQuery,
    PublicationList,
    SampledPublication,
)
from wsprism.realtime.room.actor import Room
from wsprism.realtime.room.counting import asks_registry
from wsprism.realtime.room.ears import Ears, Heard, HotFrames, PresentNow, Signal
from wsprism.realtime.room.history import KeptPublication
from wsprism.realtime.room.hot_exchange import HotExchange, HotTick
from wsprism.realtime.room.inbox import MAX_WAITING, MAX_WAITING_BYTES, size_of
from wsprism.realtime.room.remote import publication_from
from wsprism.realtime.room.roll_call import RollNews
from wsprism.realtime.room.shared_attendance import SharedAttendance
from wsprism.realtime.room.waiting import GiveUp, Held, Waiting
from wsprism.realtime.room.window import mirror_window, missed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from wsprism.policy.history import HistoryBounds
    from wsprism.ports import Broker, Mirror, Subscription, Window
    from wsprism.realtime.messages import RoomJoin
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.room.history import RoomHistory
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.room.outbox import Outbox
    from wsprism.realtime.room.snapshot import RoomSnapshot
    from wsprism.realtime.room.step import Step
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.tenant.registry import Roster

__all__ = ["ClusterRoom"]

READ_AGAIN_S: Final = 0.25


class _Standing(Enum):
    DEAF = auto()
    """Not subscribed."""
    BEHIND = auto()
    """Subscribed, and to read as soon as what it has goes to the members."""
    READING = auto()
    FAILED = auto()
    """It could not read, and will try again."""
    LIVE = auto()


class _Read:
    """To itself: the answer to what it has read."""

    def __init__(self, question: object, answer: Window | Unavailable) -> None:
        self.question = question
        self.answer = answer


class _ReadAgain:
    """To itself: it may be possible now."""

    def __init__(self, question: object) -> None:
        self.question = question


class _ToldAll:
    """To itself: it knows who is present."""


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
        self.attendance: SharedAttendance = SharedAttendance(self, broker)
        self._broker = broker
        self._mirror = mirror
        self._outbox = outbox
        self._subscription: Subscription | None = None
        self._ears: Ears | None = None
        self._bounds: HistoryBounds | None = None
        self._standing = _Standing.DEAF
        self._position: Position | None = None
        self._mirrors = False
        self._question: object = None
        self._waiting = Waiting(self)
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
        self.attendance.end()

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
        elif isinstance(message, _Read):
            if message.question is self._question:
                self._on_read(message.answer)
        elif isinstance(message, _ReadAgain):
            if message.question is self._question:
                self._standing = _Standing.BEHIND
        elif isinstance(message, RollNews):
            self.attendance.hear_of_roll(message)
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
        if self._standing is _Standing.BEHIND and self._fan_out is None and not self._line.has_ext():
            self._read()
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
        self._bounds = self.tenant.rules.rooms.of(self.name).history
        self._ears = Ears(self.context.ref)
        self._fall_back(_Standing.DEAF)
        self._subscription = self._hot.subscription = self._broker.subscribe(self.name, self._bounds, self._ears)

    def _hear(self, heard: Heard) -> None:
        if heard.ears is not self._ears:
            return
        what = heard.what
        if isinstance(what, Batch):
            if self._standing is _Standing.LIVE or self._goes_on(what):
                self._take_batch(what)
        elif isinstance(what, HotFrames):
            self._hot.hear(what.frames)
        elif isinstance(what, PresentNow):
            self.attendance.hear(what.user, what.sid, what.entry)
        elif what is Signal.SUBSCRIBED:
            self._fall_back(_Standing.BEHIND)
            self.attendance.subscribed()
        else:
            self._fall_back(_Standing.DEAF)
            self.attendance.lost()

    def _goes_on(self, batch: Batch) -> bool:
        """Whether a room that keeps nothing, and so cannot read it, may take what comes before it knows all."""
        position = self._position
        return (
            self._bounds is None
            and position is not None
            and batch.epoch == position.epoch
            and batch.first == position.offset + 1
        )

    def _take_batch(self, batch: Batch) -> None:
        position = self._position
        assert position is not None, "a live room knows where it stands"
        known = position.offset + 1 - batch.first
        if batch.epoch != position.epoch or known < 0:
            self._fall_back(_Standing.BEHIND)
        elif known < len(batch.payloads):
            self._take(batch.payloads[known:] if known else batch.payloads, position)

    def _take(self, payloads: Sequence[bytes], position: Position) -> bool:
        """Put what comes behind ``position`` into the line. False: not all of it can be heard, and none is."""
        publications: list[ExtPublication] = []
        size_bytes = 0
        for payload in payloads:
            publication = publication_from(payload)
            if publication is None:
                self._fall_back(_Standing.BEHIND)
                return False
            size_bytes += size_of(publication)
            publications.append(publication)
        line, inbox = self._line, self.inbox
        if line.items and (
            len(line.items) + len(publications) > MAX_WAITING
            or inbox.waiting_bytes + size_bytes > 2 * MAX_WAITING_BYTES
        ):
            self._fall_back(_Standing.BEHIND)
            return False
        line.items.extend(publications)
        inbox.waiting += len(publications)
        inbox.waiting_bytes += size_bytes
        self._position = Position(position.epoch, position.offset + len(publications))
        return True

    # Where the room stands

    @property
    def stands(self) -> bool:
        """Whether it stands where it should, and knows who is present."""
        return self._standing is _Standing.LIVE and self.attendance.known

    def _fall_back(self, standing: _Standing) -> None:
        """What comes now is not heard; whoever joins waits for a while."""
        self._standing = standing
        self._question = None
        self.wait()

    def _read(self) -> None:
        self._standing = _Standing.READING
        question = self._question = object()
        ref = self.context.ref
        since = self._position if self._mirrors or self._bounds is None else None
        self.tenant.counters.broker.reads += 1

        def done(answer: Window | Unavailable) -> None:
            ref.tell_control(_Read(question, answer))

        self._broker.read(self.name, since, self._bounds, done)

    def _on_read(self, answer: Window | Unavailable) -> None:
        if isinstance(answer, Unavailable):
            self._standing = _Standing.FAILED
            self.context.call_later(READ_AGAIN_S, _ReadAgain(self._question))
            return
        self._question = None
        before, now = self._position, Position(answer.epoch, answer.top)
        behind = None if before is None else missed(answer, before)
        if before is None or behind is None or not self._fill(answer, before, behind):
            self._load(answer, answer.top)
            self._position = now
            if self.members.roster:
                self._tell_gap(now)
        self._standing = _Standing.LIVE
        self._let_in()

    def _fill(self, window: Window, before: Position, behind: Sequence[bytes]) -> bool:
        """Have the members get what they have missed; False: not all of it can be read."""
        if not self._mirrors:
            self._load(window, before.offset)
        if behind and not self._take(behind, before):
            return False
        self.tenant.counters.broker.filled += bool(behind)
        return True

    def _load(self, window: Window, until: int) -> None:
        """Mirror what is kept up to ``until``, as far back as all of it can be read; nothing without a history."""
        bounds = self._bounds
        self._mirrors = self.remembers = bounds is not None
        if bounds is not None and self.history is not None:
            mirror_window(self._mirror, self.name, bounds, window, until)
            self.history.begin_at(window.epoch)

    def _tell_gap(self, position: Position) -> None:
        """What the members have of the room may be stale from here on."""
        self.tenant.counters.broker.gaps += 1
        said: dict[str, Any] = {"v": sysmsg.VERSION, "svc": "sys", "type": "gap", "room": self.name}
        if self._mirrors:
            said["data"] = {"epoch": position.epoch, "offset": position.offset}
        gap = ExtPublication("sys", "gap", b"", kept=KeptPublication(text_frame(JSON.encode(said))))
        self._line.put_first(gap)

    def _look_at_history(self) -> None:
        """Whether the room remembers. What became of its history is the broker's to say."""
        history = self.history
        assert history is not None
        in_force = history.in_force()
        self.remembers = in_force and (self._mirrors or self.remembers)
        if history.bounds != self._bounds:
            self._mirrors = False
            self._subscribe()

    # Who waits for it

    def wait(self) -> None:
        """Whoever joins waits for a while."""
        self._waiting.begin()

    def read_again(self) -> None:
        """It may be behind."""
        self._fall_back(_Standing.BEHIND)

    def lags_behind(self, join: RoomJoin) -> bool:
        """Whether who joins has seen more of the room, on another node, than has come here."""
        since, position = None if join.wants is None else join.wants.since, self._position
        return (
            since is not None
            and position is not None
            and self._mirrors
            and since.epoch == position.epoch
            and since.offset > position.offset
        )

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
