"""A tenant whose sessions and memberships are counted over all nodes: what the tenant actor does while it must ask.

A session is opened and a room joined when the registry has counted it; what only makes room is told and not awaited.
What others decide about its sessions is told besides (``told_by_registry``). Functions, messages of the tenant actor.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from actors import DEFERRED
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.sessions import EvictReason
from wsprism.ports import Departed, Opened, RoomCounts, SessionKey, SessionOpening, Unavailable
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.realtime.messages import SessionOpened
from wsprism.realtime.session import info_of, principal_of
from wsprism.realtime.tenant.about import about, about_session
from wsprism.realtime.tenant.awaited import Awaited
from wsprism.realtime.tenant.calls_over_nodes import CallsOverNodes
from wsprism.realtime.tenant.over_nodes import AWAY
from wsprism.realtime.tenant.told_by_registry import TOLD_HANDLERS, CountAnew, Listener

if TYPE_CHECKING:
    from actors import Deferred, Reply
    from wsprism.ports import Registry
    from wsprism.realtime.messages import LiftRevocation, OpenSession, Revoke
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["REGISTRY_HANDLERS", "OverRegistry"]

_ASSERTED_AT_ONCE: Final = 100
_BETWEEN_S: Final = (0.005, 0.03)
"""By chance: when Redis comes back all nodes count their sessions anew at that moment."""

_ASK_AGAIN_S: Final = 1.0
_ENDS: Final = {
    Reason.TOO_MANY_SESSIONS: (CloseCode.TOO_MANY_SESSIONS, "too many sessions"),
    Reason.REVOKED: (CloseCode.TICKET, "ticket revoked"),
}
"""How a session ends that does not fit any more once it is counted anew; others may try again."""

Decided = Callable[[RoomCounts | Denied], None]
"""Told who is in the room then, or why it may not be joined."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """The registry's answer to a new session."""

    reply: Reply | None
    question: OpenSession
    answer: Opened | Denied | Unavailable


@dataclass(frozen=True, slots=True)
class _CountedIn:
    """The registry's answer to a join."""

    session: Session
    decided: Decided
    answer: RoomCounts | Denied | Unavailable


@dataclass(frozen=True, slots=True)
class _CountedAnew:
    """The registry's answer to a session that was there before."""

    session: Session
    answer: Opened | Denied | EvictReason | Unavailable


class OverRegistry:
    """One tenant actor's, where there is a ``registry``."""

    def __init__(self, tenant: Tenant, registry: Registry) -> None:
        self.registry = registry
        self.counts_anew: Sequence[Session] = ()
        self._tenant = tenant
        self._ref = tenant.context.ref
        self.calls = CallsOverNodes(tenant, registry)
        registry.listener = Listener(self._ref, tenant.tenant)

    def open(self, question: OpenSession) -> Deferred:
        """Have a session counted; the ask at hand is answered later, as one in a single process is at once."""
        reply, ref = self._tenant.context.reply_to, self._ref
        principal, rules = question.principal, self._tenant.tenant.rules
        opening = SessionOpening(
            principal.user, question.sid, principal.token_id, self._about(question), question.generation
        )

        def done(answer: Opened | Denied | EvictReason | Unavailable) -> None:
            assert not isinstance(answer, EvictReason), "a new one gives way to nobody"
            ref.tell_control(_Counted(reply, question, answer))

        self.registry.open(opening, rules.limits, rules.sessions, done)
        return DEFERRED

    def open_anew(self, session: Session) -> None:
        """Have a session counted that has been there for a while: newer ones, of other nodes too, stay."""
        ref, rules, key = self._ref, self._tenant.tenant.rules, session.key
        assert key is not None, "whoever is registered is counted"
        said = about_session(session, self._tenant.tenant.node_name)
        token_id = session.principal.token_id
        opening = SessionOpening(key.user, key.sid, token_id, said, key.generation, was_there=True)

        def done(answer: Opened | Denied | EvictReason | Unavailable) -> None:
            ref.tell_control(_CountedAnew(session, answer))

        self.registry.open(opening, rules.limits, rules.sessions, done)

    def _about(self, question: OpenSession) -> bytes:
        principal = principal_of(question)
        info = info_of(principal, question.decision)
        return about(self._tenant.tenant.node_name, question.remote_address, principal.metadata, info)

    def join(self, session: Session, room: str, decided: Decided) -> None:
        """Have a session counted into a room; ``decided`` is called in a later turn of the tenant."""
        ref, key = self._ref, session.key
        assert key is not None, "whoever is registered is counted"

        def done(answer: RoomCounts | Denied | Unavailable) -> None:
            ref.tell_control(_CountedIn(session, decided, answer))

        self.registry.join(key, room, self._tenant.tenant.rules.limits, done)

    def leave(self, session: Session, room: str) -> Awaited[RoomCounts | None]:
        """Have a session that stays counted out of a room; who is left there."""
        counts: Awaited[RoomCounts | None] = Awaited()
        if session.departed is not None:
            session.departed.then(lambda left: counts.come(None if left is None else left.rooms.get(room)))
        elif session.key is not None:
            self.registry.leave(session.key, room, counts.come)
        return counts

    def close(self, session: Session, key: SessionKey) -> None:
        """Have it counted no more, in no room; ``session.departed`` is what it leaves."""
        backend = self._tenant.tenant.backend
        rooms: list[str] = []
        if backend is not None and backend.tells("left"):
            rooms = [room for room in session.rooms if self._tenant.tenant.broker_of(room) is not None]
        session.departed = departed = Awaited[Departed | None]()
        self.registry.close(key, rooms, departed.come)

    def revoke(self, message: Revoke | LiftRevocation, until_s: float, reason: str) -> Deferred:
        """Lock a name out on every node, or let it in again with ``until_s`` 0; the ask at hand is answered later."""
        reply = self._tenant.context.reply_to

        def done(answer: int | Denied | Unavailable) -> None:
            if reply is not None and reply.waiting:
                reply.answer(AWAY if isinstance(answer, Unavailable) else answer)

        self.registry.revoke(message.what, message.name, until_s, reason, done)
        return DEFERRED


def _counted(tenant: Tenant, message: _Counted) -> None:
    answer, question, reply = message.answer, message.question, message.reply
    decisions = tenant.tenant.counters.decisions
    if isinstance(answer, Opened):
        _end_replaced(tenant, answer)
        session = tenant.connect(question, answer.key.sid, None, answer.key)
        tenant.admit(session)
    elif isinstance(answer, Unavailable):
        decisions.count(Reason.BROKER_AWAY)
        if reply is not None:
            reply.answer(AWAY)
        return
    else:
        decisions.count(answer.reason)
        if answer.code is not ErrorCode.TOO_MANY_SESSIONS:
            if reply is not None:
                reply.answer(answer)
            return
        session = tenant.connect(question, question.sid or "", answer)
    if reply is None or not reply.answer(SessionOpened(session)):
        session.connection.stop()  # whoever has asked waits no more


def _end_replaced(tenant: Tenant, opened: Opened) -> None:
    """Those of this node that gave way: it was decided already."""
    of_user = tenant.registry.by_sid(opened.key.user)
    for key, reason in opened.replaced:
        session = of_user.get(key.sid)
        if session is not None and session.key == key:
            tenant.kick(session, reason)
    before = of_user.get(opened.key.sid)
    if before is not None and before.key != opened.key:
        tenant.kick(before, EvictReason.REPLACED.value)


def _counted_in(tenant: Tenant, message: _CountedIn) -> None:
    answer = message.answer
    here = tenant.registry.of_connection(message.session.connection) is message.session
    message.decided(AWAY if isinstance(answer, Unavailable) or not here else answer)


def _count_anew(tenant: Tenant, message: CountAnew) -> None:
    """Some at a time: others do the same at this moment. One that begins takes the place of what is under way."""
    shared = tenant.shared
    assert shared is not None
    sessions = message.sessions
    if sessions is None:
        sessions = shared.counts_anew = list(tenant.registry)
    elif message.at and sessions is not shared.counts_anew:
        return
    until = message.at + _ASSERTED_AT_ONCE
    for session in tenant.still_here(sessions[message.at : until]):
        shared.open_anew(session)
    if until < len(sessions):
        tenant.context.call_later(random.uniform(*_BETWEEN_S), CountAnew(sessions, until))


def _counted_anew(tenant: Tenant, message: _CountedAnew) -> None:
    """It goes on, with its rooms as far as they have room; or it ends as a new one would not have begun."""
    session, answer, shared = message.session, message.answer, tenant.shared
    assert shared is not None
    here = tenant.registry.of_connection(session.connection) is session
    if isinstance(answer, Opened):
        if not here:
            shared.registry.close(answer.key)
            return
        session.key = answer.key
        _end_replaced(tenant, answer)
        tenant.news.connected_again(session)
        for room in [one for one in session.rooms if tenant.tenant.broker_of(one) is not None]:
            _join_anew(tenant, session, room)
    elif not here:
        return
    elif isinstance(answer, Unavailable):
        tenant.context.call_later(_ASK_AGAIN_S, CountAnew([session]))
    elif isinstance(answer, EvictReason):
        tenant.kick(session, answer.value)
    else:
        code, reason = _ENDS.get(answer.reason, (CloseCode.TRY_LATER, "tenant is full"))
        tenant.disconnect(session, code, reason)


def _join_anew(tenant: Tenant, session: Session, room: str) -> None:
    shared = tenant.shared
    assert shared is not None

    def decided(answer: RoomCounts | Denied) -> None:
        if room not in session.rooms:
            return
        if isinstance(answer, RoomCounts):
            tenant.news.joined_again(session, room, answer)
        elif answer is not AWAY:
            tenant.rooms.leave(session, room, None, announce=True, why="limits")

    shared.join(session, room, decided)


REGISTRY_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    CountAnew: _count_anew,
    _Counted: _counted,
    _CountedAnew: _counted_anew,
    _CountedIn: _counted_in,
    **TOLD_HANDLERS,
}
"""By the message's type, for the tenant."""
