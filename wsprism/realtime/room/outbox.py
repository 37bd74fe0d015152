"""What is published into a room over nodes, on its way to the broker: one turn is there, the rest gathers.

It belongs to no actor, so that nobody's publication is lost or unanswered because a room crashed or ended meanwhile.
Whoever published is told when the broker has answered: acknowledged, or refused because it never will be in the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from wsprism.policy.decisions import Reason
from wsprism.ports import Draft, Ordered, Unavailable
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.room.history import id_of
from wsprism.realtime.room.inbox import size_of
from wsprism.realtime.room.remote import payload_of_change, payload_of_ext, with_version
from wsprism.realtime.tenant.news import tell_publication

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.policy.values import ValueDenial
    from wsprism.ports import Broker, Values
    from wsprism.protocol.traces import MessageTrace
    from wsprism.realtime.messages import ExtPublication, ValueWork
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.rules import TenantContext

__all__ = ["ROOM_AWAY", "Outbox"]

ROOM_AWAY: Final = "the room cannot be reached now: try again"

_MOST_AT_ONCE: Final = 512
_MOST_BYTES_AT_ONCE: Final = 256 * 1024
"""Of one turn; a single call of ``add_all`` is never parted."""

_UNANSWERED_S: Final = 2.0
"""So long publications wait behind a turn that has no answer."""

_Turn = tuple["ExtPublication", ...]


class Outbox:
    """``inbox`` is told what has gone. ``when_empty``: called once when nothing waits any more, then forgotten."""

    def __init__(self, room: str, tenant: TenantContext, broker: Broker, inbox: Inbox | None = None) -> None:
        self.when_empty: Callable[[], object] | None = None
        self._room = room
        self._tenant = tenant
        self._broker = broker
        self._inbox = inbox
        self._waiting: deque[_Turn] = deque()
        self._traces: dict[int, MessageTrace] = {}
        self._works: dict[int, ValueWork] = {}
        self._with_broker: list[ExtPublication] | None = None
        self._handed_at = 0.0
        self.count = 0
        self.size_bytes = 0
        """Of all that has no answer yet."""

    @property
    def busy(self) -> bool:
        """Whether anything has no answer yet."""
        return self.count > 0

    def add(self, publication: ExtPublication, trace: MessageTrace | None = None) -> None:
        """Put it behind everything that is there. ``send`` follows."""
        if trace is not None:
            self._traces[id(publication)] = trace
        self.add_all((publication,))

    def add_all(self, publications: _Turn) -> None:
        """Put all of them there, to be ordered with nothing in between."""
        self._waiting.append(publications)
        self.count += len(publications)
        self.size_bytes += sum(map(size_of, publications))
        if self._with_broker is not None and self._tenant.now() - self._handed_at > _UNANSWERED_S:
            self.refuse_waiting()

    def add_work(self, work: ValueWork) -> None:
        """Put what is done with the room's values behind everything that is there; it goes as a turn of its own."""
        self._works[id(work.publication)] = work
        self.add_all((work.publication,))

    def send(self, room: ActorRef | None = None) -> None:
        """Hand the next turn over, unless one is on its way. What members of ``room`` may say no more is left out."""
        while self._waiting and self._with_broker is None:
            turn = self._next_turn(room)
            if turn:
                self._hand_over(turn, room)
        if not self.count and self.when_empty is not None:
            told, self.when_empty = self.when_empty, None
            told()

    def leave_out_the_muted(self, room: ActorRef) -> None:
        """What those have said who were put out of ``room``, and that waits here, is gone before they leave it."""
        if not any(one.sender is not None and one.sender.muted for turn in self._waiting for one in turn):
            return
        turns, self._waiting = self._waiting, deque()
        for turn in turns:
            heard = self._without_the_muted(turn, room)
            if heard:
                self._waiting.append(tuple(heard))

    def refuse_waiting(self) -> None:
        """Whoever waits behind a turn that has no answer waits no longer."""
        while self._waiting:
            self._refuse(list(self._waiting.popleft()))

    def _next_turn(self, room: ActorRef | None) -> list[ExtPublication]:
        turn: list[ExtPublication] = []
        size_bytes = 0
        while self._waiting:
            some = self._waiting[0]
            alone = bool(self._works) and id(some[0]) in self._works
            if turn and alone:
                break
            size_bytes += sum(map(size_of, some))
            if turn and (len(turn) + len(some) > _MOST_AT_ONCE or size_bytes > _MOST_BYTES_AT_ONCE):
                break
            turn.extend(self._waiting.popleft())
            if alone:
                break
        if room is not None and any(one.sender is not None and one.sender.muted for one in turn):
            return self._without_the_muted(turn, room)
        return turn

    def _without_the_muted(self, turn: Sequence[ExtPublication], room: ActorRef) -> list[ExtPublication]:
        """They were put out or have ended since: mute from that moment."""
        heard = []
        for one in turn:
            sender = one.sender
            if sender is None or not sender.was_put_out_of(room):
                heard.append(one)
                continue
            self._gone(one, "refused")
            if one.ack and not sender.ended:
                refusal = sysmsg.error(ErrorCode.NOT_ALLOWED, "not a member of the room", sender.trace_id, one.seq)
                sender.outlet.send(refusal)
        return heard

    def _hand_over(self, turn: list[ExtPublication], room: ActorRef | None) -> None:
        work = self._works.get(id(turn[0])) if self._works else None
        if work is not None:
            self._hand_over_work(work, room)
            return
        bounds = self._tenant.rules.rooms.of(self._room).history
        keeps = bounds is not None
        drafts = [Draft(payload_of_ext(one), id_of(one) if keeps and one.id is not None else None) for one in turn]
        self._with_broker = turn
        self._handed_at = self._tenant.now()
        self._tenant.counters.broker.turns += 1

        def done(answer: Ordered | Unavailable) -> None:
            self._with_broker = None
            if isinstance(answer, Unavailable):
                self._refuse(turn)
            else:
                self._tell(turn, answer, keeps=keeps)
            self.send(room)

        self._broker.publish(self._room, drafts, bounds, done)

    def _hand_over_work(self, work: ValueWork, room: ActorRef | None) -> None:
        bounds = self._tenant.rules.rooms.of(self._room).history
        publication = work.publication
        turn = self._with_broker = [publication]
        self._handed_at = self._tenant.now()

        def done(answer: Ordered | ValueDenial | Values | Unavailable) -> None:
            self._with_broker = None
            if isinstance(answer, Unavailable):
                self._refuse(turn)
            elif isinstance(answer, Ordered):
                self._tell(turn, answer, keeps=bounds is not None)
            else:
                self._gone(publication, "answered")
                work.answered(answer)
            self.send(room)

        if work.change is None:
            self._broker.read_values(self._room, work.service, work.key, done)
        else:
            self._broker.change_value(self._room, payload_of_change(publication), work.change, bounds, done)

    def _tell(self, turn: list[ExtPublication], answer: Ordered, *, keeps: bool) -> None:
        backend = self._tenant.backend
        news = backend if backend is not None and backend.tells("publication", self._room) else None
        top = answer.first - 1
        for publication, offset in zip(turn, answer.offsets, strict=True):
            again, top = offset <= top, max(offset, top)
            self._gone(publication, "ordered")
            sender, shown = publication.sender, offset if keeps else None
            publication.offset = shown
            if answer.version:
                publication.data = with_version(publication.data, answer.version)
            if news is not None and (sender or publication.author) is not None and not again:
                tell_publication(news, self._room, publication)
            if publication.ack and sender is not None:
                sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id, shown))
            if publication.told is not None:
                publication.told(shown)

    def _refuse(self, turn: list[ExtPublication]) -> None:
        self._tenant.counters.decisions.count(Reason.BROKER_AWAY, len(turn))
        for publication in turn:
            self._gone(publication, Reason.BROKER_AWAY.value)
            sender = publication.sender
            if publication.told is not None:
                publication.told(None, away=True)
            elif sender is not None and not sender.ended:
                refusal = sysmsg.error(ErrorCode.UNAVAILABLE, ROOM_AWAY, sender.trace_id, publication.seq)
                sender.outlet.send(refusal)

    def _gone(self, publication: ExtPublication, outcome: str) -> None:
        size_bytes = size_of(publication)
        self.count -= 1
        self.size_bytes -= size_bytes
        if self._inbox is not None:
            self._inbox.gone(1, size_bytes)
        if self._works:
            self._works.pop(id(publication), None)
        trace = self._traces.pop(id(publication), None) if self._traces else None
        if trace is not None:
            trace.mark("room")
            trace.written(outcome)
