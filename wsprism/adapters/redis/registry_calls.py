"""What one tenant asks of its registry on Redis: every check and the change that it allows are one script."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from wsprism.adapters.redis.control import ControlFollower
from wsprism.adapters.redis.early_words import EarlyWords
from wsprism.adapters.redis.framing import framed
from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.revocations import KnownRevocations
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.session_calls import Depart, Join, Open, RevokeCall
from wsprism.adapters.redis.shared_state import RedisSharedState
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.adapters.redis.surveys import Surveys
from wsprism.adapters.redis.tenant_calls import CallsNode
from wsprism.policy.decisions import Denied
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import MAX_REVOCATIONS, Revocable
from wsprism.policy.sessions import EvictReason, SessionPolicy
from wsprism.ports import Departed, Opened, RoomCounts, SessionKey, SessionOpening, Unavailable

__all__ = ["RegistryCalls", "words_of"]

T = TypeVar("T")

_SID_BYTES: Final = 8


class RegistryCalls(RedisSharedState):
    """The calls of the port. ``sessions`` are those that this node has opened and not closed."""

    def __init__(self, node: CallsNode, prefix: bytes, follower: ControlFollower) -> None:
        super().__init__(node, prefix)
        self.follower = follower
        self.sessions: dict[SessionKey, None] = {}
        self.known = KnownRevocations()
        self._counting: dict[Depart, None] = {}
        """Those that somebody wants to know about."""
        self._surveys = Surveys(self)
        self._early = EarlyWords(self.later)

    def open(
        self,
        opening: SessionOpening,
        limits: Limits,
        policy: SessionPolicy,
        done: Callable[[Opened | Denied | EvictReason | Unavailable], object],
    ) -> None:
        self.next_number()
        sid = opening.sid or os.urandom(_SID_BYTES).hex()
        arguments: list[Word] = [self.incarnation, self._numbers, opening.user, sid]
        arguments += [opening.token_id or "", opening.about, opening.generation or ""]
        arguments += [limits.max_sessions_total, policy.max_sessions_per_user, policy.on_exceed.value]
        arguments.append(int(opening.was_there))
        number = self._numbers
        self._early.begins(number)

        def answered(answer: Opened | Denied | EvictReason | Unavailable) -> None:
            done(answer)
            self._early.ends(number)

        what = Open(arguments, opening.user, sid, len(opening.about), self._opened, answered, self.is_current)
        self._add(number, what)

    def close(
        self, key: SessionKey, rooms: Sequence[str] = (), counted: Callable[[Departed | None], object] | None = None
    ) -> None:
        def read(answer: Sequence[Any]) -> Departed:
            _, sessions, *counts = answer
            pairs = zip(counts[::2], counts[1::2], strict=True)
            return Departed(sessions, {room: RoomCounts(*pair) for room, pair in zip(rooms, pairs, strict=True)})

        self.sessions.pop(key, None)
        self._depart_counted(Depart(script("close_session"), (*words_of(key), *rooms), key, self._owe), read, counted)

    def describe(self, key: SessionKey, about: bytes) -> None:
        self._depart(Depart(script("describe"), (*words_of(key), about), key, self._owe, len(about)))

    def join(
        self, key: SessionKey, room: str, limits: Limits, done: Callable[[RoomCounts | Denied | Unavailable], object]
    ) -> None:
        bounds = limits.max_rooms_total, limits.max_users_per_room, limits.max_rooms_per_user
        self._add(key, Join((self.incarnation, *words_of(key), room, *bounds), len(room), done))

    def leave(self, key: SessionKey, room: str, counted: Callable[[RoomCounts | None], object] | None = None) -> None:
        leaving = Depart(script("leave"), (*words_of(key), room), key, self._owe)
        self._depart_counted(leaving, lambda answer: RoomCounts(*answer[1:3]), counted)

    def _depart_counted(
        self, depart: Depart, read: Callable[[Sequence[Any]], T], counted: Callable[[T | None], object] | None
    ) -> None:
        if counted is not None:

            def told(answer: Sequence[Any] | None) -> None:
                self._counting.pop(depart, None)
                counted(None if answer is None else read(answer))

            depart.counted = told
            self._counting[depart] = None
        self._depart(depart)

    def count_no_more(self) -> None:
        """Nobody knows what is left behind what is under way: its connection was lost."""
        for depart in list(self._counting):
            depart.tell(None)

    def revoke(
        self,
        what: Revocable,
        name: str,
        until_s: float,
        reason: str,
        done: Callable[[int | Denied | Unavailable], object],
    ) -> None:
        def answered(answer: int | Denied | Unavailable, nodes: frozenset[bytes]) -> None:
            if isinstance(answer, int) and until_s > 0:
                self.known.told(what, name, until_s, reason)
            self._once_in_force(done, answer, nodes)

        about = (what.value, name, int(until_s * 1000), reason, MAX_REVOCATIONS)
        arguments = (self.incarnation, self.next_number(), *about)
        self._add((what, name), RevokeCall(arguments, until_s <= 0, answered))

    def end(
        self, keys: Sequence[SessionKey], code: int, reason: str, done: Callable[[int | Unavailable], object]
    ) -> None:
        self._change("end_listed", (code, reason), keys, done)

    def put_out(self, keys: Sequence[SessionKey], room: str, done: Callable[[int | Unavailable], object]) -> None:
        self._change("put_out", (room,), keys, done)

    def ask(
        self,
        body: bytes,
        done: Callable[[Sequence[bytes] | Unavailable], object],
        patience_s: float | None = None,
    ) -> None:
        self._surveys.ask(body, done, patience_s)

    def tell(self, body: bytes, refused: Callable[[], object]) -> None:
        self._surveys.tell(body, refused)

    def cast(self, body: bytes) -> bool:
        connection, message = self.connection, framed([b"V", body])
        if connection is None:
            return False
        return connection.say("SPUBLISH", self.follower.channel, message, answered=_ignored) is None

    def _change(
        self,
        name: str,
        about: Sequence[Word],
        keys: Sequence[SessionKey],
        done: Callable[[int | Unavailable], object],
    ) -> None:
        """In the registry first; then the nodes that have these sessions say when it is in force there."""

        def changed(answer: tuple[int, frozenset[bytes]] | Unavailable) -> None:
            if isinstance(answer, Unavailable):
                done(answer)
                return
            self._once_in_force(done, *answer)

        number = self.next_number()
        arguments = [self.incarnation, number, *about, *(word for key in keys for word in words_of(key))]
        self.add(
            number, SimpleCall(script(name), arguments, lambda answer: (answer[1], frozenset(answer[2:])), changed)
        )

    def _once_in_force(self, done: Callable[[T], object], value: T, nodes: frozenset[bytes]) -> None:
        """``done`` with ``value`` when these nodes have done all that they were told."""
        if nodes:
            self._surveys.ask(b"", lambda _: done(value), among=nodes)
        else:
            done(value)

    def is_current(self, incarnation: Word) -> bool:
        """Whether what was opened as this incarnation is counted."""
        return incarnation == self.incarnation

    def _opened(self, key: SessionKey, replaced: Sequence[SessionKey]) -> None:
        for gone in replaced:
            self.sessions.pop(gone, None)
        self.sessions[key] = None


def words_of(key: SessionKey) -> tuple[str, str, int]:
    """How scripts are told of it."""
    return key.user, key.sid, key.generation


def _ignored(_: object) -> None:
    """Nobody is told."""
