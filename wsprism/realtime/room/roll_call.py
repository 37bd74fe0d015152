"""A room over nodes begins to be told who is present: it says what it has, and asks who is there.

Some at a time, each a step in the room's line, so that it stands between what the room is told before and behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from wsprism.ports import EntryPage, Unavailable
from wsprism.realtime.room.step import Step

if TYPE_CHECKING:
    from wsprism.ports import PresenceBroker
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.shared_presence import SharedPresence

__all__ = ["RollCall", "RollNews"]

_AT_ONCE: Final = 256
_ENTRIES_A_STEP: Final = 8
"""So many entries are as much work as a join."""

_ASK_AGAIN_S: Final = 0.25


class RollNews:
    """To the room: the page behind ``cursor``, or none yet; None: it is to be asked for again."""

    def __init__(self, roll: RollCall, cursor: str, page: EntryPage | Unavailable | None) -> None:
        self.roll = roll
        self.cursor = cursor
        self.page = page


class RollCall:
    """``add`` puts a step into the room's line. ``done``: the room knows who is there, as long as it is told."""

    def __init__(
        self,
        room: Room,
        presence: SharedPresence,
        broker: PresenceBroker,
        add: Callable[[Step], object],
        told: Callable[[], object],
    ) -> None:
        self.done = False
        self.over = False
        """Something was missed since it began: its steps do nothing any more."""
        self._room = room
        self._presence = presence
        self._broker = broker
        self._add_step = add
        self._done = told
        self._mine = presence.own()
        presence.begin_listing()
        self._say()

    def hear(self, news: RollNews) -> None:
        """A page has come, or may be asked for again."""
        page = news.page
        if page is None:
            self._ask(news.cursor)
        elif isinstance(page, Unavailable):
            self._room.context.call_later(_ASK_AGAIN_S, RollNews(self, news.cursor, None))
        else:
            entries = page
            self._add(lambda: self._take(entries), len(page.entries))

    def _say(self) -> None:
        some, self._mine = self._mine[:_AT_ONCE], self._mine[_AT_ONCE:]
        self._presence.say_again(some)
        if self._mine:
            self._add(self._say, _AT_ONCE)
        else:
            self._ask("")

    def _ask(self, cursor: str) -> None:
        ref = self._room.context.ref

        def answered(page: EntryPage | Unavailable) -> None:
            ref.tell_control(RollNews(self, cursor, page))

        self._broker.list_entries(self._room.name, cursor, answered)

    def _take(self, page: EntryPage) -> None:
        for user, sid, entry in page.entries:
            self._presence.hear(user, sid, entry)
        if page.cursor:
            self._ask(page.cursor)
        else:
            self._end()

    def _end(self) -> None:
        if self._presence.forget_unlisted(_AT_ONCE):
            self._add(self._end, _AT_ONCE)
        else:
            self.done = True
            self._done()

    def _add(self, what: Callable[[], object], entries: int) -> None:
        self._add_step(Step(lambda: None if self.over else what(), 1 + entries // _ENTRIES_A_STEP))
