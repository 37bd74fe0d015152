"""What is done to a session in its order: opened, let into rooms, out of them, closed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.scripts import Script, script
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable
from wsprism.policy.sessions import EvictReason
from wsprism.ports import Opened, RoomCounts, SessionKey, Unavailable
from wsprism.protocol.codes import ErrorCode

__all__ = ["Depart", "Join", "Open", "RevokeCall"]

_CODES: Final = {
    Reason.REVOKED: ErrorCode.AUTH_FAILED,
    Reason.TOO_MANY_SESSIONS: ErrorCode.TOO_MANY_SESSIONS,
}

_GIVES_WAY: Final = {one.value.encode(): one for one in EvictReason}


@dataclass(slots=True)
class Open:
    """``opened`` is told of a session that is counted, before ``done``."""

    arguments: Sequence[Word]
    user: str
    sid: str
    size_bytes: int
    opened: Callable[[SessionKey, Sequence[SessionKey]], object]
    done: Callable[[Opened | Denied | EvictReason | Unavailable], object]
    is_current: Callable[[Word], bool]

    @property
    def script(self) -> Script:
        return script("open_session")

    def answer(self, answer: Sequence[Any]) -> None:
        if not self.is_current(self.arguments[0]):
            self.done(Unavailable.AWAY)  # it was counted, and cleaned up with its incarnation
            return
        _, generation, *gone = answer
        key = SessionKey(self.user, self.sid, int(generation))
        words = zip(gone[::4], gone[1::4], gone[2::4], gone[3::4], strict=True)
        replaced = [(SessionKey(self.user, sid.decode(), int(g)), reason.decode()) for sid, _, g, reason in words]
        self.opened(key, [one for one, _ in replaced])
        self.done(Opened(key, replaced))

    def deny(self, reason: bytes) -> None:
        gives_way = _GIVES_WAY.get(reason)
        self.done(_denied(reason) if gives_way is None else gives_way)

    def refuse(self, why: Unavailable) -> None:
        self.done(why)


@dataclass(slots=True)
class Join:
    """A session that is gone is told so by another way."""

    arguments: Sequence[Word]
    size_bytes: int
    done: Callable[[RoomCounts | Denied | Unavailable], object]

    @property
    def script(self) -> Script:
        return script("join")

    def answer(self, answer: Sequence[Any]) -> None:
        self.done(RoomCounts(*answer[3:5]))

    def deny(self, reason: bytes) -> None:
        self.done(_denied(reason))

    def refuse(self, why: Unavailable) -> None:
        self.done(why)


@dataclass(slots=True, eq=False)
class Depart:
    """A leave or a close: never refused, but ``owed`` until there is somebody to tell it.

    ``counted`` is told the answer, or once that there is none now: None.
    """

    script: Script
    arguments: Sequence[Word]
    key: Hashable
    owed: Callable[[Depart], object]
    size_bytes: int = 0
    counted: Callable[[Sequence[Any] | None], object] | None = None

    def answer(self, answer: Sequence[Any]) -> None:
        self.tell(answer)

    def tell(self, answer: Sequence[Any] | None) -> None:
        """Whoever wants to know what it has left."""
        counted, self.counted = self.counted, None
        if counted is not None:
            counted(answer)

    def deny(self, _: bytes) -> None:
        """Nobody denies it."""

    def refuse(self, _: Unavailable) -> None:
        self.tell(None)
        self.owed(self)


@dataclass(slots=True)
class RevokeCall:
    """``lifts``: the answer is whether there was anything to lift; else how many sessions were ended. ``done`` is told
    of the nodes that had them too."""

    arguments: Sequence[Word]
    lifts: bool
    done: Callable[[int | Denied | Unavailable, frozenset[bytes]], object]
    size_bytes: int = 0

    @property
    def script(self) -> Script:
        return script("revoke")

    def answer(self, answer: Sequence[Any]) -> None:
        self.done(answer[1] if self.lifts else answer[2], frozenset(answer[3:]))

    def deny(self, reason: bytes) -> None:
        self.done(_denied(reason), frozenset())

    def refuse(self, why: Unavailable) -> None:
        self.done(why, frozenset())


def revocable(name: bytes) -> Revocable | None:
    """None: another version's."""
    try:
        return Revocable(name.decode())
    except ValueError:
        return None


def _denied(reason: bytes) -> Denied:
    why = Reason(reason.decode())
    return Denied(why, _CODES.get(why, ErrorCode.RESOURCE_EXHAUSTED))
