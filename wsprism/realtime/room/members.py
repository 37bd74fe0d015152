"""Who gets what a room says: its members by wire format, and those that still recover from its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsprism.realtime.room.recovery import Replay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsprism.protocol.places import Position
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.outbound.wire import WireFormat
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.history import RoomHistory
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.registry import Roster

__all__ = ["Members"]


class Members:
    """``roster`` are all of them, in joining order; ``replays`` are of those that are served from the history alone."""

    __slots__ = ("_groups", "replays", "roster")

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.replays: dict[Session, Replay] = {}
        self._groups: dict[WireFormat, list[Outlet]] | None = None

    def groups(self) -> dict[WireFormat, list[Outlet]]:
        """Where a turn goes to, by wire format. What is given out is never changed: a fan-out may hold it."""
        groups = self._groups
        if groups is None:
            groups = self._groups = {}
            for session in self.roster:
                if session in self.replays:
                    continue
                outlet = session.outlet
                groups.setdefault(outlet.format, []).append(outlet)
        return groups

    def and_joining(self, sessions: Iterable[Session]) -> list[Session]:
        """All members, and those of ``sessions`` that are none yet."""
        return [*self.roster, *(one for one in sessions if one not in self.roster)]

    def add(self, session: Session) -> None:
        if session not in self.roster:
            self.roster[session] = None
            self._groups = None

    def remove(self, session: Session) -> None:
        if session in self.roster:
            del self.roster[session]
            self._groups = None

    def begin_replay(self, room: Room, history: RoomHistory, session: Session, since: Position) -> None:
        """``session`` is served from ``history`` until it has caught up."""
        before = self.replays.get(session)
        if before is not None:
            before.stop()
            if before.is_leaving:
                session.outlet.give_up("left and came back before it had caught up")
        replay = self.replays[session] = Replay(room, history, session, since)
        self._groups = None
        session.outlet.feed_from(replay)

    def end_replay(self, session: Session) -> None:
        """Nothing of it is sent any more."""
        replay = self.replays.pop(session, None)
        if replay is not None:
            replay.stop()

    def caught_up(self, session: Session, replay: Replay) -> None:
        """From the next turn on it gets what everybody gets."""
        if self.replays.get(session) is replay:
            del self.replays[session]
        self._groups = None
