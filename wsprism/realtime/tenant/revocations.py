"""Locking names out of a tenant, and letting them in again. Functions of the tenant actor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, assert_never

from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.realtime.messages import CloseConnection, LiftRevocation, Revoke

if TYPE_CHECKING:
    from actors import Deferred
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["REVOCATION_HANDLERS", "end_revoked"]

_FULL: Final = Denied(Reason.REVOCATIONS_FULL, ErrorCode.RESOURCE_EXHAUSTED)
_TICKET_REVOKED: Final = CloseConnection(CloseCode.TICKET, "ticket revoked")


def _revoke(actor: Tenant, message: Revoke) -> int | Deferred | Denied:
    tenant = actor.tenant
    if actor.shared is not None:
        return actor.shared.revoke(message, message.until_s, message.reason)
    if not tenant.revocations.revoke(message.what, message.name, message.until_s, tenant.unix_now(), message.reason):
        tenant.counters.decisions.count(Reason.REVOCATIONS_FULL)
        return _FULL
    if tenant.state is not None:
        tenant.state.revoked(message.what, message.name, message.until_s, message.reason)
    return actor.slices.answer(*_endings(actor, message.what, message.name))


def end_revoked(actor: Tenant, what: Revocable, name: str) -> None:
    """End every session of this name, some at a time."""
    actor.slices.begin(*_endings(actor, what, name))


def _endings(actor: Tenant, what: Revocable, name: str) -> tuple[Sequence[Session], Callable[[Sequence[Session]], int]]:
    """Who may be meant, and how to end those that are."""

    def end(some: Sequence[Session]) -> int:
        meant = [one for one in actor.still_here(some) if _named_by(one, what) == name]
        for session in meant:
            actor.end(session, _TICKET_REVOKED)
        return len(meant)

    return actor.registry.of_user(name) if what is Revocable.USER else list(actor.registry), end


def _lift(actor: Tenant, message: LiftRevocation) -> int | Deferred:
    tenant = actor.tenant
    if actor.shared is not None:
        return actor.shared.revoke(message, 0.0, "")
    if tenant.state is not None:
        tenant.state.lifted(message.what, message.name)
    return int(tenant.revocations.lift(message.what, message.name, tenant.unix_now()))


def _named_by(session: Session, what: Revocable) -> str | None:
    match what:
        case Revocable.USER:
            return session.user
        case Revocable.SID:
            return session.sid
        case Revocable.TOKEN_ID:
            return session.principal.token_id
        case _:
            assert_never(what)


REVOCATION_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {LiftRevocation: _lift, Revoke: _revoke}
"""By the message's type, for the tenant."""
