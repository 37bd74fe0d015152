"""The line in front of a room: publications, joins, leaves and questions, each at its place in the room's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HistoryQuery,
    HotPublication,
    InfoChanged,
    MembersQuery,
    PresenceQuery,
    PresenceState,
    RoomJoin,
    RoomLeave,
)
from wsprism.realtime.room.inbox import size_of
from wsprism.realtime.room.mixed_turn import MixedTurn
from wsprism.realtime.room.step import Step
from wsprism.realtime.room.turn import Turn

if TYPE_CHECKING:
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.inbox import Inbox

__all__ = ["MOST_AT_ONCE", "Item", "Line", "Other", "Publication", "Question"]

MOST_AT_ONCE: Final = 512
_MOST_BYTES_AT_ONCE: Final = 256 * 1024
"""What one fan-out carries of publications: encoding it is one step."""

Publication = ExtPublication | HotPublication
Question = MembersQuery | HistoryQuery | PresenceQuery | PresenceState
Other = RoomJoin | RoomLeave | Question | InfoChanged | Step | CloseRoom
Item = ExtPublication | HotPublication | RoomJoin | RoomLeave | Question | InfoChanged | Step | CloseRoom


class Line:
    """``items`` as they came; ``others`` of them are no publications, ``hot`` are hot ones.

    ``inbox`` is told of what goes out by another way than a turn, or comes in by another than its own.
    """

    __slots__ = ("_inbox", "hot", "items", "others")

    def __init__(self, inbox: Inbox) -> None:
        self.items: list[Item] = []
        self.others = 0
        self.hot = 0
        self._inbox = inbox

    def add_hot(self, publication: HotPublication) -> None:
        self.items.append(publication)
        self.hot += 1

    def add_all(self, publications: Sequence[Publication]) -> None:
        self.items.extend(publications)
        self.hot += sum(isinstance(one, HotPublication) for one in publications)

    def add_other(self, item: Other) -> None:
        self.items.append(item)
        self.others += 1

    def has_ext(self) -> bool:
        """Whether an ext message is among what waits."""
        return any(isinstance(one, ExtPublication) for one in self.items)

    def put_first(self, publication: ExtPublication) -> None:
        """The room's own word, before everything that waits."""
        self.items.insert(0, publication)
        self._inbox.waiting += 1
        self._inbox.waiting_bytes += size_of(publication)

    def take(self, room: Room) -> Turn:
        """The front as a turn, as far as one fan-out carries it; who is in it waits no longer."""
        inbox = self._inbox
        if self.others or len(self.items) > MOST_AT_ONCE or inbox.waiting_bytes > _MOST_BYTES_AT_ONCE:
            turn: Turn = self._take_in_order(MixedTurn(room))
        else:
            turn = Turn(room, self.items)  # type: ignore[arg-type]
            self.items = []
            self.hot = 0
        publications = turn.publications
        count = len(publications)
        if inbox.waiting <= count:
            inbox.waiting = inbox.waiting_bytes = 0
        elif count:
            inbox.gone(count, sum(map(size_of, publications)))
        return turn

    def _take_in_order(self, turn: MixedTurn) -> Turn:
        items, publications = self.items, turn.publications
        taken = size_bytes = 0
        for item in items:
            if type(item) is ExtPublication or type(item) is HotPublication:
                size_bytes += size_of(item)
                if publications and (len(publications) >= MOST_AT_ONCE or size_bytes > _MOST_BYTES_AT_ONCE):
                    break
                publications.append(item)
                self.hot -= isinstance(item, HotPublication)
            elif turn.takes(item):
                self.others -= 1
            else:
                break
            taken += 1
        del items[:taken]
        return turn

    def shed_hot(self, most: int) -> list[HotPublication]:
        """Take out the oldest hot ones until only ``most`` are left."""
        shed: list[HotPublication] = []
        surplus = self.hot - most
        kept: list[Item] = []
        size_bytes = 0
        for item in self.items:
            if surplus > 0 and isinstance(item, HotPublication):
                surplus -= 1
                size_bytes += size_of(item)
                shed.append(item)
            else:
                kept.append(item)
        self._inbox.gone(len(shed), size_bytes)
        self.hot = most
        self.items = kept
        return shed
