"""A tenant's limits as pure checks. Whoever asks must act on the answer in the same synchronous step."""

from __future__ import annotations

from dataclasses import dataclass

from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.codes import ErrorCode

__all__ = ["Limits"]

_TENANT_FULL = Denied(Reason.TENANT_FULL, ErrorCode.RESOURCE_EXHAUSTED)
_TOO_MANY_ROOMS = Denied(Reason.TOO_MANY_ROOMS, ErrorCode.RESOURCE_EXHAUSTED)
_ROOM_FULL = Denied(Reason.ROOM_FULL, ErrorCode.RESOURCE_EXHAUSTED)
_TOO_MANY_ROOMS_PER_USER = Denied(Reason.TOO_MANY_ROOMS_PER_USER, ErrorCode.RESOURCE_EXHAUSTED)


@dataclass(frozen=True, slots=True)
class Limits:
    """0 is unlimited for every ``max_*`` count. A user counts once in a room, and a room once for a user."""

    max_frame_bytes: int = 4096
    max_sessions_total: int = 0
    max_rooms_total: int = 0
    max_users_per_room: int = 0
    max_rooms_per_user: int = 0
    max_backend_bytes: int = 65_536
    """Of one message of the backend: those of clients are bounded by ``max_frame_bytes``."""

    def may_open_session(self, sessions_total: int) -> Denied | None:
        """One more session, when there are ``sessions_total``?"""
        return _TENANT_FULL if 0 < self.max_sessions_total <= sessions_total else None

    def may_join(
        self, *, rooms_total: int, room_exists: bool, users_in_room: int, user_in_room: bool, rooms_of_user: int
    ) -> Denied | None:
        """May a session of a user join a room? A user who is in it already adds nothing to any count."""
        if user_in_room:
            return None
        if not room_exists and 0 < self.max_rooms_total <= rooms_total:
            return _TOO_MANY_ROOMS
        if 0 < self.max_users_per_room <= users_in_room:
            return _ROOM_FULL
        if 0 < self.max_rooms_per_user <= rooms_of_user:
            return _TOO_MANY_ROOMS_PER_USER
        return None
