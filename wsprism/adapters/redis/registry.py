"""One tenant's ``Registry`` on Redis: every check and the change that it allows are one script."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.control import ControlFollower
from wsprism.adapters.redis.framing import framed
from wsprism.adapters.redis.node_answers import NodeAnswers
from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.revocations import KnownRevocations, Restoring
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.session_calls import Depart, Join, Open, RevokeCall, revocable
from wsprism.adapters.redis.shared_state import RedisSharedState
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.adapters.redis.surveys import Surveys
from wsprism.adapters.redis.tenant_calls import CallsNode, TenantCalls
from wsprism.policy.decisions import Denied
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import MAX_REVOCATIONS, Revocable, Revocation
from wsprism.policy.sessions import EvictReason, SessionPolicy
from wsprism.ports import Listed, Opened, RegistryListener, SessionKey, SessionOpening, Unavailable

__all__ = ["RedisRegistry"]

T = TypeVar("T")

_VERIFIED_AT_ONCE: Final = 500
_REVOCATIONS_AT_ONCE: Final = 500
_SID_BYTES: Final = 8


class RedisRegistry(RedisSharedState):
    """``sessions`` are those that this node has opened and not closed; ``listener`` is set before the first.

    ``line`` is what publications go by: what a node answers goes behind all of its own that are under way.
    """

    def __init__(self, node: CallsNode, prefix: bytes, line: TenantCalls[Any]) -> None:
        super().__init__(node, prefix)
        self._surveys = Surveys(self)
        self._answers = NodeAnswers(line)
        self.known = KnownRevocations()
        self._restoring = Restoring(node, prefix, self.known)
        self._revocations_behind: int | None = 0
        """None: this node has heard of all."""
        self._unsure: list[tuple[SessionKey, str]] = []
        """Who may have been taken out of which room."""
        self.listener: RegistryListener | None = None
        self.sessions: dict[SessionKey, None] = {}
        self.follower = ControlFollower(prefix, self, node.strange)
        self._known_as = 0
        self._opening: dict[int, None] = {}
        self._said_early: list[tuple[int, Callable[[], object]]] = []
        """What the stream said while openings had no answer, with the last of those: it may be of their sessions."""

    # The port

    def open(
        self,
        opening: SessionOpening,
        limits: Limits,
        policy: SessionPolicy,
        done: Callable[[Opened | Denied | Unavailable], object],
    ) -> None:
        self.next_number()
        sid = opening.sid or os.urandom(_SID_BYTES).hex()
        arguments: list[Word] = [self.incarnation, self._numbers, opening.user, sid]
        arguments += [opening.token_id or "", opening.about, opening.generation or ""]
        arguments += [limits.max_sessions_total, policy.max_sessions_per_user, policy.on_exceed.value]
        number = self._numbers
        self._opening[number] = None

        def answered(answer: Opened | Denied | Unavailable) -> None:
            done(answer)
            del self._opening[number]
            if self._said_early:
                self.later(self._say_again)

        what = Open(arguments, opening.user, sid, len(opening.about), self._opened, answered, self.is_current)
        self._add(number, what)

    def close(self, key: SessionKey) -> None:
        self.sessions.pop(key, None)
        self._depart(Depart(script("close_session"), _words(key), key, self._owe))

    def describe(self, key: SessionKey, about: bytes) -> None:
        self._depart(Depart(script("describe"), (*_words(key), about), key, self._owe, len(about)))

    def join(
        self, key: SessionKey, room: str, limits: Limits, done: Callable[[Denied | Unavailable | None], object]
    ) -> None:
        bounds = limits.max_rooms_total, limits.max_users_per_room, limits.max_rooms_per_user
        self._add(key, Join((self.incarnation, *_words(key), room, *bounds), len(room), done))

    def leave(self, key: SessionKey, room: str) -> None:
        self._depart(Depart(script("leave"), (*_words(key), room), key, self._owe))

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
        arguments = [self.incarnation, number, *about, *(word for key in keys for word in _words(key))]
        self.add(
            number, SimpleCall(script(name), arguments, lambda answer: (answer[1], frozenset(answer[2:])), changed)
        )

    def _once_in_force(self, done: Callable[[T], object], value: T, nodes: frozenset[bytes]) -> None:
        """``done`` with ``value`` when these nodes have done all that they were told."""
        if nodes:
            self._surveys.ask(b"", lambda _: done(value), among=nodes)
        else:
            done(value)

    # What its node tells

    def up(self, desk: RedisConnection, line: RedisConnection, control_at: int) -> None:
        """There are connections and a lease; ``control_at`` is where the stream stood when that was taken."""
        if self._known_as == self.incarnation:
            self._go_on(desk, line)
            return

        def restored() -> None:
            self._begin_anew()
            self.follower.begin(control_at)
            self._revocations_behind = 0
            self._go_on(desk, line)

        self._restoring.begin(desk, restored)

    def _go_on(self, desk: RedisConnection, line: RedisConnection) -> None:
        self.connection = desk
        self._send_lines()
        self._pay()
        self.follower.up(line)
        unsure, self._unsure = self._unsure, []
        for key, room in unsure:
            self._put_out(key, room)
        self._answers.say()
        self._surveys.up()
        self._hear_revocations()

    def down(self) -> None:
        """They are lost."""
        self.connection = None
        self._restoring.stop()
        self.follower.down()
        self._surveys.down()
        self._give_up_unsent()

    # What its follower tells

    def control(self, fields: Sequence[bytes]) -> None:
        me = b"%d" % self.incarnation
        match fields:
            case [b"kick", node, user, sid, generation, reason, by] if node == me != by:
                key, why = SessionKey(user.decode(), sid.decode(), int(generation)), reason.decode()
                self._say(lambda: self._end(key, why))
            case [b"revoke", what, name, until, reason, said] if until.isdigit() and said.isdigit():
                revoked, listener, whose, until_s = revocable(what), self.listener, name.decode(), int(until) / 1000
                if revoked is not None:
                    self.known.told(revoked, whose, until_s, reason.decode(), int(said))
                if revoked is not None and listener is not None:
                    self._say(lambda: listener.revoked(revoked, whose, until_s))
            case [b"end", node, user, sid, generation, code, reason] if node == me and code.isdigit():
                ended, how = SessionKey(user.decode(), sid.decode(), int(generation)), reason.decode()
                self._say(lambda: self._ended(ended, int(code), how))
            case [b"out", node, user, sid, generation, room] if node == me:
                self._put_out(SessionKey(user.decode(), sid.decode(), int(generation)), room.decode())
            case [b"ask", asker, number, who, body] if self.listener is not None:
                wanted = who == b"*" or b" %s " % me in who
                self.listener.asked(body, self._answers.to(asker, number) if wanted else None)

    def answered(self, asker: int, number: int, node: bytes, body: bytes) -> None:
        self._surveys.heard(asker, number, node, body)

    def cast_heard(self, body: bytes) -> None:
        if self.listener is not None:
            self.listener.asked(body, None)

    def _say(self, what: Callable[[], object]) -> None:
        what()
        if self._opening:
            self._said_early.append((self._numbers, what))

    def _say_again(self) -> None:
        oldest = next(iter(self._opening), self._numbers + 1)
        said, self._said_early = self._said_early, []
        for number, what in said:
            what()
            if number >= oldest:
                self._said_early.append((number, what))

    def control_lost(self) -> None:
        self._revocations_behind = 0
        self._hear_revocations()
        self._verify(list(self.sessions))
        if self.listener is not None:
            self.listener.unsure()

    # What its parts need

    def is_current(self, incarnation: Word) -> bool:
        """Whether what was opened as this incarnation is counted."""
        return incarnation == self.incarnation

    def _begin_anew(self) -> None:
        """This node is another incarnation now: nothing of what it had is counted any more."""
        self._known_as = self.incarnation
        self._owed.clear()
        if self.sessions:
            self.sessions.clear()
            if self.listener is not None:
                self.later(self.listener.fenced)

    def _hear_revocations(self) -> None:
        """Those that were there before this node listened; of what changes meanwhile it is told besides."""
        if self._revocations_behind is None:
            return

        def listed(page: Listed[Revocation] | Unavailable) -> None:
            if isinstance(page, Unavailable):
                return
            self._revocations_behind = page.behind
            for one in page.items:
                self.known.told(one.what, one.name, one.until_s, one.reason)
            if self.listener is not None:
                self.listener.learned(page.items)
            self._hear_revocations()

        self.list_revocations(self._revocations_behind, _REVOCATIONS_AT_ONCE, listed)

    def _opened(self, key: SessionKey, replaced: Sequence[SessionKey]) -> None:
        for gone in replaced:
            self.sessions.pop(gone, None)
        self.sessions[key] = None

    def _end(self, key: SessionKey, reason: str) -> None:
        if key in self.sessions:
            del self.sessions[key]
            if self.listener is not None:
                self.listener.end(key, reason)

    def _ended(self, key: SessionKey, code: int, reason: str) -> None:
        if key in self.sessions:
            del self.sessions[key]
            if self.listener is not None:
                self.listener.ended(key, code, reason)

    def _put_out(self, key: SessionKey, room: str) -> None:
        """Where something of this session has no answer yet, which may be its join, it is found out behind that."""
        listener = self.listener
        if listener is None or key not in self._lines:
            if listener is not None:
                listener.put_out(key, room)
            return

        def told(is_out: bool | Unavailable) -> None:
            if isinstance(is_out, Unavailable):
                self._unsure.append((key, room))
            elif is_out:
                listener.put_out(key, room)
            self._answers.release()

        self._answers.hold()
        self.add_anyway(key, SimpleCall(script("not_in"), (*_words(key), room), lambda answer: len(answer) > 1, told))

    def _verify(self, keys: Sequence[SessionKey]) -> None:
        some, others = keys[:_VERIFIED_AT_ONCE], keys[_VERIFIED_AT_ONCE:]
        if not some:
            return

        def told(answer: Any) -> None:
            if isinstance(answer, list):
                for at in answer:
                    self._end(some[at], EvictReason.REPLACED.value)
                self._verify(others)

        self.call(script("verify"), [word for key in some for word in _words(key)], told)


def _words(key: SessionKey) -> tuple[str, str, int]:
    return key.user, key.sid, key.generation


def _ignored(_: object) -> None:
    """Nobody is told."""
