"""What a tenant hears of the registry of all nodes: what others have decided about its sessions, in their order.

It comes as messages of the tenant actor; whoever hears an old word of a session finds that it has another key by now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsprism.ports import Unavailable
from wsprism.realtime.tenant.calls_over_nodes import AskedByNode, answer_node
from wsprism.realtime.tenant.revocations import end_revoked

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.policy.revocation import Revocable, Revocation
    from wsprism.ports import Answer, LostMember, LostSession, SessionKey
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["TOLD_HANDLERS", "CountAnew", "Listener"]


@dataclass(frozen=True, slots=True)
class _EndedElsewhere:
    key: SessionKey
    reason: str


@dataclass(frozen=True, slots=True)
class _EndedByBackend:
    key: SessionKey
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class _PutOut:
    key: SessionKey
    room: str


@dataclass(frozen=True, slots=True)
class _RevokedEverywhere:
    """``until_s`` 0: lifted."""

    what: Revocable
    name: str
    until_s: float


@dataclass(frozen=True, slots=True)
class _Learned:
    revocations: Sequence[Revocation]


@dataclass(frozen=True, slots=True)
class _Lost:
    what: Sequence[LostMember | LostSession]


class _Unsure:
    """Who was put out of rooms may have been missed."""


class CountAnew:
    """Nothing of this node is counted any more; ``sessions`` None: all of them.

    ``at``: those before it were asked for.
    """

    def __init__(self, sessions: Sequence[Session] | None = None, at: int = 0) -> None:
        self.sessions = sessions
        self.at = at


class Listener:
    """A ``RegistryListener``."""

    def __init__(self, tenant: ActorRef, context: TenantContext) -> None:
        self._tenant = tenant
        self._context = context

    @property
    def wants_lost(self) -> bool:
        backend = self._context.backend
        return backend is not None and (backend.tells("left") or backend.tells("disconnected"))

    def lost(self, what: Sequence[LostMember | LostSession]) -> None:
        self._tenant.tell_control(_Lost(what))

    def end(self, key: SessionKey, reason: str) -> None:
        self._tenant.tell_control(_EndedElsewhere(key, reason))

    def revoked(self, what: Revocable, name: str, until_s: float) -> None:
        self._tenant.tell_control(_RevokedEverywhere(what, name, until_s))

    def learned(self, revocations: Sequence[Revocation]) -> None:
        self._tenant.tell_control(_Learned(revocations))

    def ended(self, key: SessionKey, code: int, reason: str) -> None:
        self._tenant.tell_control(_EndedByBackend(key, code, reason))

    def put_out(self, key: SessionKey, room: str) -> None:
        self._tenant.tell_control(_PutOut(key, room))

    def unsure(self) -> None:
        self._tenant.tell_control(_Unsure())

    def asked(self, body: bytes, answer: Answer | None) -> None:
        self._tenant.tell_control(AskedByNode(body, answer))

    def fenced(self) -> None:
        self._tenant.tell_control(CountAnew())


def _session_of(tenant: Tenant, key: SessionKey) -> Session | None:
    session = tenant.registry.by_sid(key.user).get(key.sid)
    return session if session is not None and session.key == key else None


def _ended_elsewhere(tenant: Tenant, message: _EndedElsewhere) -> None:
    session = _session_of(tenant, message.key)
    if session is not None:
        tenant.kick(session, message.reason)


def _ended_by_backend(tenant: Tenant, message: _EndedByBackend) -> None:
    session = _session_of(tenant, message.key)
    if session is not None:
        tenant.tenant.counters.kicked["backend"] += 1
        tenant.disconnect(session, message.code, message.reason)


def _put_out(tenant: Tenant, message: _PutOut) -> None:
    session, room = _session_of(tenant, message.key), message.room
    if session is not None and room in session.rooms:
        session.put_out(tenant.registry.rooms[room].ref)
        tenant.rooms.leave(session, room, None, announce=True, why="removed")


def _revoked_everywhere(tenant: Tenant, message: _RevokedEverywhere) -> None:
    context, now_s = tenant.tenant, tenant.tenant.unix_now()
    if message.until_s <= now_s:
        context.revocations.lift(message.what, message.name, now_s)
    else:
        context.revocations.revoke(message.what, message.name, message.until_s, now_s)
        end_revoked(tenant, message.what, message.name)


def _look_who_is_out(tenant: Tenant, _: _Unsure) -> None:
    """What was missed is made up for, some at a time."""
    shared, ref = tenant.shared, tenant.context.ref
    assert shared is not None
    members = [
        (one.key, room)
        for one in tenant.registry
        if one.key is not None
        for room in one.rooms
        if tenant.tenant.broker_of(room) is not None
    ]

    def look(some: Sequence[tuple[SessionKey, str]]) -> int:
        def told(places: Sequence[int] | Unavailable) -> None:
            if not isinstance(places, Unavailable):
                for place in places:
                    ref.tell_control(_PutOut(*some[place]))

        shared.registry.not_in(some, told)
        return len(some)

    tenant.slices.begin(members, look)


def _learned(tenant: Tenant, message: _Learned) -> None:
    context = tenant.tenant
    for one in message.revocations:
        context.revocations.revoke(one.what, one.name, one.until_s, context.unix_now(), one.reason)


def _tell_lost(tenant: Tenant, message: _Lost) -> None:
    for one in message.what:
        tenant.news.lost(one)


TOLD_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    AskedByNode: answer_node,
    _EndedByBackend: _ended_by_backend,
    _EndedElsewhere: _ended_elsewhere,
    _Learned: _learned,
    _Lost: _tell_lost,
    _PutOut: _put_out,
    _RevokedEverywhere: _revoked_everywhere,
    _Unsure: _look_who_is_out,
}
"""By the message's type, for the tenant."""
