"""Who is present in a room, which session keeps each entry, and who is told of changes.

A ``RoomPresence`` outlives a crash of its room and, while lost connections linger, its last member. Joins, leaves and
states change it at their places in the room's order; a ``PresenceRound`` then tells every subscriber what has changed
since the state that it knows. While a round is under way its room changes nothing here.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qos import Frame, Lane
from wsprism.policy.presence import Diff, Presence
from wsprism.policy.present import Entry
from wsprism.protocol import sysmsg
from wsprism.protocol.envelope import JSON

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.policy.present import Listing, PresenceStore
    from wsprism.policy.room_rules import PresenceRules
    from wsprism.realtime.counters import TenantCounters
    from wsprism.realtime.messages import RoomJoin
    from wsprism.realtime.outbound.wire import WireFormat
    from wsprism.realtime.session import Session

__all__ = ["NO_PRESENCE", "PresenceRound", "RoomPresence", "shown_to"]

NO_PRESENCE: Final = "the room has no presence"

_LONGEST_LOG: Final = 4096
"""Changes that are gathered: for one more everybody is told at once."""

_TICK_TOLERANCE_S: Final = 0.001

_LOG_WORK: Final = 16
"""So many changes are looked through in the time of one offer."""

_Key = tuple[str, str]


class RoomPresence:
    """``rules`` are the room's. ``asked_for``: the moment at which its room is to be told ``PresenceDue``, if any."""

    def __init__(self, room: str, rules: PresenceRules, store: PresenceStore) -> None:
        self.rules = rules
        self.asked_for: float | None = None
        self._presence = Presence(rules.bounds, room, store)
        self._holders: dict[_Key, tuple[Session, ActorRef]] = {}
        self._answered: set[_Key] = set()  # whose info is the backend's word of this join
        self._lingers: dict[_Key, float] = {}
        self._subscribers: dict[Session, int] = {}

    @property
    def sessions(self) -> int:
        """Entries now, those that linger included."""
        return self._presence.sessions

    def follow(self, rules: PresenceRules) -> None:
        """A reload has changed what the room has."""
        self.rules = rules
        self._presence.bounds = rules.bounds
        if not rules.events:
            self._subscribers.clear()
            self._forget_if_unheard()

    def listing(self) -> Listing:
        """Who is there."""
        return self._presence.listing()

    # Changes

    def join(self, join: RoomJoin, room: ActorRef, unix_now: float) -> None:
        """``join.session`` is present from here on. One that comes back while it lingers was never away."""
        session, wants = join.session, join.wants
        key = (session.user, session.sid)
        before = self._presence.entry(*key)
        holder = self._holders.get(key)
        lingered = self._ends_lingering(key)
        goes_on = before is not None and (lingered or (holder is not None and holder[0] is session))
        state = msgspec.UNSET if wants is None else wants.state
        if goes_on and before is not None:
            since = before.since
            state = before.state if state is msgspec.UNSET else state
        else:
            since = _rfc3339(unix_now)
        self._holders[key] = (session, room)
        info = _info_of(session)
        if join.answer is not None and bytes(join.answer.info):
            info = join.answer.info
            self._answered.add(key)
        else:
            self._answered.discard(key)
        self._show(session.user, Entry(session.sid, since, info, state))
        self._forget_if_unheard()

    def leave(self, session: Session, room: ActorRef, now: float, *, lost: bool) -> None:
        """It left ``room``; with ``lost`` its connection was lost, and it may linger."""
        key = (session.user, session.sid)
        if self._holders.get(key) != (session, room):
            return
        del self._holders[key]
        self._answered.discard(key)
        self._subscribers.pop(session, None)
        if lost and self.rules.linger_s > 0:
            self._linger(key, now + self.rules.linger_s)
        else:
            self._hide(*key)
        self._forget_if_unheard()

    def set_state(self, session: Session, room: ActorRef, state: msgspec.Raw) -> bool:
        """Its own word of itself; whether it is present."""
        key = (session.user, session.sid)
        before = self._presence.entry(*key)
        if before is None or self._holders.get(key) != (session, room):
            return False
        self._show(session.user, msgspec.structs.replace(before, state=state))
        self._forget_if_unheard()
        return True

    def set_info(self, session: Session, room: ActorRef) -> None:
        """What is public of it, unless the backend said that for this room alone."""
        key = (session.user, session.sid)
        before = self._presence.entry(*key)
        if before is None or key in self._answered or self._holders.get(key) != (session, room):
            return
        self._show(session.user, msgspec.structs.replace(before, info=_info_of(session)))
        self._forget_if_unheard()

    def expire(self, now: float) -> None:
        """Who has lingered long enough is gone."""
        for key in [key for key, until in self._lingers.items() if until <= now + _TICK_TOLERANCE_S]:
            del self._lingers[key]
            self._hide(*key)
        self._forget_if_unheard()

    def end(self) -> None:
        """The room has none any more."""

    def _show(self, user: str, entry: Entry) -> None:
        self._presence.put(user, entry)

    def _hide(self, user: str, sid: str) -> None:
        self._presence.remove(user, sid)

    def _linger(self, key: _Key, until: float) -> None:
        self._lingers[key] = until

    def _ends_lingering(self, key: _Key) -> bool:
        """Whether it lingered, which it does no more."""
        return self._lingers.pop(key, None) is not None

    def _forget_if_unheard(self) -> None:
        if not self._subscribers:
            self._presence.settle()

    # Who is told

    def subscribe(self, session: Session, *, asks: bool) -> None:
        """It knows the present state and is told what changes from here on, if it ``asks`` for that."""
        if asks and self.rules.events:
            self._subscribers[session] = self._presence.mark
        else:
            self._subscribers.pop(session, None)
            self._forget_if_unheard()

    def next_due(self, now: float) -> float | None:
        """When its room is to look here again, on the tick that all rooms share; None: nothing is to come."""
        batch_s = self.rules.batch_s
        due = [(math.floor(now / batch_s) + 1) * batch_s] if self._presence.mark else []
        if self._presence.mark >= _LONGEST_LOG:
            due = [now]
        if self._lingers:
            due.append(math.ceil(min(self._lingers.values()) / batch_s) * batch_s)
        return min(due, default=None)

    def subscribers_by_mark(self) -> list[tuple[int, list[Session]]]:
        """Who knows the state of which mark; the most recent first."""
        groups: dict[int, list[Session]] = {}
        for session, mark in self._subscribers.items():
            groups.setdefault(mark, []).append(session)
        return sorted(groups.items(), key=lambda group: -group[0])

    def diff(self, mark: int) -> Diff:
        """What has changed behind ``mark``."""
        return self._presence.diff(mark)

    def changes_since(self, mark: int) -> int:
        return self._presence.mark - mark

    def told(self, session: Session) -> None:
        """It knows the present state."""
        self._subscribers[session] = self._presence.mark

    def all_told(self) -> None:
        """Every subscriber knows the present state."""
        self._presence.settle()
        self._subscribers = dict.fromkeys(self._subscribers, 0)


class PresenceRound:
    """One diff on its way to the subscribers, a ``FanOut`` to its room. Who subscribed later has a shorter one."""

    def __init__(self, room: str, presence: RoomPresence, counters: TenantCounters) -> None:
        self.publications: tuple[()] = ()
        self.done = False
        self._room = room
        self._presence = presence
        self._counters = counters
        self._groups = presence.subscribers_by_mark()
        self._at = 0
        self._diff: Diff | None = None
        self._frames: dict[WireFormat, Frame] = {}

    def go_on(self, budget: int) -> int:
        """Tell as many as ``budget`` allows, at least one; what is left of it."""
        presence = self._presence
        while self._groups:
            mark, sessions = self._groups[-1]
            if self._diff is None:
                self._diff = presence.diff(mark)
                budget -= presence.changes_since(mark) // _LOG_WORK
            end = min(len(sessions), self._at + max(1, budget))
            for session in sessions[self._at : end]:
                self._tell(session, self._diff)
            budget -= end - self._at
            self._at = end
            if end == len(sessions):
                self._groups.pop()
                self._at, self._diff, self._frames = 0, None, {}
            if budget <= 0 and self._groups:
                return 0
        presence.all_told()
        self.done = True
        return budget

    def _tell(self, session: Session, diff: Diff) -> None:
        self._presence.told(session)
        if diff.is_empty:
            return
        wire = session.outlet.format
        frame = self._frames.get(wire)
        if frame is None:
            message = sysmsg.room_presence_diff(self._room, shown_to(wire, _as_data(diff)))
            frame = self._frames[wire] = Frame(wire.encode(message), Lane.RELIABLE, None)
        self._counters.presence_diffs += 1
        session.outlet.offer(frame)


def shown_to(wire: WireFormat, data: object) -> object:
    """``data`` with raw JSON in it, as the codec of ``wire`` can encode it."""
    return msgspec.json.decode(JSON.encode(data)) if wire.codec.binary else data


def _as_data(diff: Diff) -> dict[str, Any]:
    if diff.totals is None:
        return {"joined": diff.joined, "left": diff.left, "changed": diff.changed}
    users, sessions = diff.totals
    return {"totals": {"users": users, "sessions": sessions}, "truncated": True}


def _info_of(session: Session) -> Any:
    """What is public of it; UNSET: nothing."""
    return msgspec.UNSET if session.info is None else session.info


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
