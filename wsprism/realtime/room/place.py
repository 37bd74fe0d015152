"""Where a room over nodes stands in its order, and what it does when that is not where the broker's room stands.

It hears batches while each begins where the one before it ended. After a jump, another epoch, a lost connection or
more than it can hold it lets go, and reads what is missing as soon as what it has goes to its members. What cannot be
read is a gap, of which they are told. ADR 0035.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from wsprism.policy.history import Position
from wsprism.ports import Unavailable
from wsprism.protocol import sysmsg
from wsprism.realtime.room.inbox import size_of
from wsprism.realtime.room.publications import own_publication
from wsprism.realtime.room.remote import publication_from
from wsprism.realtime.room.window import mirror_window, missed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsprism.policy.history import HistoryBounds
    from wsprism.ports import Batch, Broker, Mirror, Window
    from wsprism.realtime.messages import ExtPublication, RoomJoin
    from wsprism.realtime.room.cluster import ClusterRoom

__all__ = ["Place", "PlaceNews"]

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


class PlaceNews:
    """To the room: the answer to what it has read; None: it may be possible now."""

    def __init__(self, question: object, answer: Window | Unavailable | None) -> None:
        self.question = question
        self.answer = answer


class Place:
    """``bounds`` are the history that the room has subscribed with; ``mirrors``: it is loaded here."""

    def __init__(self, room: ClusterRoom, broker: Broker, mirror: Mirror) -> None:
        self.bounds: HistoryBounds | None = None
        self.mirrors = False
        self._room = room
        self._broker = broker
        self._mirror = mirror
        self._standing = _Standing.DEAF
        self._position: Position | None = None
        self._question: object = None

    @property
    def live(self) -> bool:
        """Whether it stands where it should."""
        return self._standing is _Standing.LIVE

    def lose(self) -> None:
        """Nothing is heard from here on."""
        self._fall_back(_Standing.DEAF)

    def fall_behind(self) -> None:
        """It is told all from here on, and may have missed something before."""
        self._fall_back(_Standing.BEHIND)

    def hear(self, batch: Batch) -> None:
        """The next of what was published."""
        if self.live or self._goes_on(batch):
            self._take_batch(batch)

    def is_due(self) -> bool:
        """Whether it is to read, once nothing waits for the members any more."""
        return self._standing is _Standing.BEHIND

    def lags_behind(self, join: RoomJoin) -> bool:
        """Whether who joins has seen more of the room, on another node, than has come here."""
        since, position = None if join.wants is None else join.wants.since, self._position
        return (
            since is not None
            and position is not None
            and self.mirrors
            and since.epoch == position.epoch
            and since.offset > position.offset
        )

    # Batches

    def _goes_on(self, batch: Batch) -> bool:
        """Whether a room that keeps nothing, and so cannot read it, may take what comes before it knows all."""
        position = self._position
        return (
            self.bounds is None
            and position is not None
            and batch.epoch == position.epoch
            and batch.first == position.offset + 1
        )

    def _take_batch(self, batch: Batch) -> None:
        position = self._position
        assert position is not None, "a live room knows where it stands"
        known = position.offset + 1 - batch.first
        if batch.epoch != position.epoch or known < 0:
            self.fall_behind()
        elif known < len(batch.payloads):
            self._take(batch.payloads[known:] if known else batch.payloads, position)

    def _take(self, payloads: Sequence[bytes], position: Position) -> bool:
        """Put what comes behind ``position`` into the line. False: not all of it can be heard, and none is."""
        publications: list[ExtPublication] = []
        changes: list[ExtPublication] | None = None
        size_bytes = 0
        for payload in payloads:
            publication = publication_from(payload)
            if publication is None:
                self.fall_behind()
                return False
            size_bytes += size_of(publication)
            publications.append(publication)
            if publication.seq is not None:
                changes = [publication] if changes is None else [*changes, publication]
        if not self._room.add_ordered(publications, size_bytes):
            self.fall_behind()
            return False
        self._position = Position(position.epoch, position.offset + len(publications))
        if changes is not None:
            self._room.values.hear(changes)
        return True

    # Reading

    def _fall_back(self, standing: _Standing) -> None:
        """What comes now is not heard; whoever joins waits for a while."""
        self._standing = standing
        self._question = None
        self._room.values.lose()
        self._room.wait()

    def read(self) -> None:
        """Ask for what is missing."""
        self._standing = _Standing.READING
        question = self._question = object()
        room = self._room
        ref = room.context.ref
        since = self._position if self.mirrors or self.bounds is None else None
        room.tenant.counters.broker.reads += 1

        def done(answer: Window | Unavailable) -> None:
            ref.tell_control(PlaceNews(question, answer))

        self._broker.read(room.name, since, self.bounds, done)

    def hear_of_read(self, news: PlaceNews) -> None:
        """What it has asked for has come."""
        answer = news.answer
        if news.question is not self._question:
            return
        if answer is None:
            self._standing = _Standing.BEHIND
            return
        if isinstance(answer, Unavailable):
            self._standing = _Standing.FAILED
            self._room.context.call_later(READ_AGAIN_S, PlaceNews(self._question, None))
            return
        self._question = None
        before, now = self._position, Position(answer.epoch, answer.top)
        behind = None if before is None else missed(answer, before)
        if before is None or behind is None or not self._fill(answer, before, behind):
            self._load(answer, answer.top)
            self._position = now
            if self._room.members.roster or (before is not None and self._room.name in self._room.tenant.tails):
                self._tell_gap(now)
        self._standing = _Standing.LIVE
        self._room.values.read()

    def _fill(self, window: Window, before: Position, behind: Sequence[bytes]) -> bool:
        """Have the members get what they have missed; False: not all of it can be read."""
        if not self.mirrors:
            self._load(window, before.offset)
        if behind and not self._take(behind, before):
            return False
        self._room.tenant.counters.broker.filled += bool(behind)
        return True

    def _load(self, window: Window, until: int) -> None:
        """Mirror what is kept up to ``until``, as far back as all of it can be read; nothing without a history."""
        bounds, room = self.bounds, self._room
        self.mirrors = room.remembers = bounds is not None
        if bounds is not None and room.history is not None:
            mirror_window(self._mirror, room.name, bounds, window, until)
            room.history.begin_at(window.epoch)

    def _tell_gap(self, position: Position) -> None:
        """What the members have of the room may be stale from here on."""
        room = self._room
        room.tenant.counters.broker.gaps += 1
        said: dict[str, Any] = {"v": sysmsg.VERSION, "svc": "sys", "type": "gap", "room": room.name}
        if self.mirrors:
            said["data"] = {"epoch": position.epoch, "offset": position.offset}
        room.say_first(own_publication("gap", said))
