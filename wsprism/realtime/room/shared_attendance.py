"""Presence in one room over nodes: what is told of other nodes' sessions stands in the room's line, in its order.

Whenever the room may have missed something it calls the roll; until that is done it does not know who is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsprism.realtime.room.attendance import Attendance
from wsprism.realtime.room.inbox import MAX_WAITING
from wsprism.realtime.room.roll_call import RollCall
from wsprism.realtime.room.shared_presence import SharedPresence
from wsprism.realtime.room.step import Step

if TYPE_CHECKING:
    from wsprism.policy.room_rules import PresenceRules
    from wsprism.ports import PresenceBroker
    from wsprism.realtime.messages import RoomJoin
    from wsprism.realtime.room.cluster import ClusterRoom
    from wsprism.realtime.room.roll_call import RollNews

__all__ = ["SharedAttendance"]

_AT_ONCE: Final = 64
"""Changes of one step."""

_CHANGES_A_STEP: Final = 8

_Change = tuple[str, str, "bytes | None"]


class _Changes(Step):
    """What was told in one go."""

    __slots__ = ("changes",)

    def __init__(self, attendance: SharedAttendance, change: _Change) -> None:
        super().__init__(lambda: attendance.take(self.changes), 1)
        self.changes = [change]


class SharedAttendance(Attendance):
    """``known``: whether the room knows who is there, if it has presence at all."""

    def __init__(self, room: ClusterRoom, broker: PresenceBroker) -> None:
        super().__init__(room)
        self._over = room
        self._broker = broker
        self._listens = False
        self._skips = False
        self._roll: RollCall | None = None
        self._last: _Changes | None = None
        self._waiting = 0

    @property
    def known(self) -> bool:
        room = self._over
        if self._roll is not None and self._roll.done:
            return True
        return room.tenant.rules.rooms.of(room.name).presence is None

    # What the broker says

    def subscribed(self) -> None:
        """From here on everything is told: behind what waits in the line the roll is called."""
        self.lost()
        self._listens = True
        self._over.add_step(Step(self._call_roll, 1))

    def lost(self) -> None:
        """Something may be missing."""
        self._listens = False
        self._end_roll()

    def hear(self, user: str, sid: str, entry: bytes | None) -> None:
        """A session has this entry, or is present no more."""
        if not self._listens or self._skips:
            return
        if self._waiting >= MAX_WAITING:
            self.subscribed()
            self._skips = True
            self._over.wait()
            return
        self._waiting += 1
        last = self._last
        if last is not None and len(last.changes) < _AT_ONCE and self._over.ends_with(last):
            last.changes.append((user, sid, entry))
            last.work = 1 + len(last.changes) // _CHANGES_A_STEP
        else:
            self._last = _Changes(self, (user, sid, entry))
            self._over.add_step(self._last)

    def take(self, changes: list[_Change]) -> None:
        """Their place has come."""
        self._waiting -= len(changes)
        presence = self.presence
        if isinstance(presence, SharedPresence):
            for change in changes:
                presence.hear(*change)

    def hear_of_roll(self, news: RollNews) -> None:
        """What it has asked for has come."""
        if news.roll is self._roll:
            self._roll.hear(news)

    def end(self) -> None:
        """Nothing is told any more. What others have is forgotten, unless members are there to be told again."""
        self.lost()
        if isinstance(self.presence, SharedPresence) and not self._over.members.roster:
            self.presence.forget_others()

    # What the room does

    def follow(self, rules: PresenceRules | None) -> None:
        before = self.presence
        super().follow(rules)
        self._look_at(before)

    def join(self, item: RoomJoin) -> None:
        before = self.presence
        super().join(item)
        self._look_at(before)

    def _look_at(self, before: object) -> None:
        if self.presence is not before:
            self._end_roll()
            if self.presence is not None and self._listens:
                self._over.wait()
                self._call_roll()

    def _of(self, rules: PresenceRules) -> SharedPresence:
        return self._over.tenant.presences.shared(self._over.name, rules, self._broker)

    def _call_roll(self) -> None:
        self._skips = False
        presence = self.presence
        if self._listens and self._roll is None and isinstance(presence, SharedPresence):
            self._roll = RollCall(self._over, presence, self._broker, self._over.add_step, self._over.told_all)

    def _end_roll(self) -> None:
        if self._roll is not None:
            self._roll.over = True
            self._roll = None
