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

__all__ = ["REVOCATION_HANDLERS"]

_FULL: Final = Denied(Reason.REVOCATIONS_FULL, ErrorCode.RESOURCE_EXHAUSTED)
_TICKET_REVOKED: Final = CloseConnection(CloseCode.TICKET, "ticket revoked")


def _revoke(actor: Tenant, message: Revoke) -> int | Deferred | Denied:
    tenant = actor.tenant
    if not tenant.revocations.revoke(message.what, message.name, message.until_s, tenant.unix_now(), message.reason):
        tenant.counters.decisions.count(Reason.REVOCATIONS_FULL)
        return _FULL
    if tenant.state is not None:
        tenant.state.revoked(message.what, message.name, message.until_s, message.reason)

    def revoke(some: Sequence[Session]) -> int:
        meant = [one for one in actor.still_here(some) if _named_by(one, message.what) == message.name]
        for session in meant:
            actor.end(session, _TICKET_REVOKED)
        return len(meant)

    is_user = message.what is Revocable.USER
    return actor.slices.answer(actor.registry.of_user(message.name) if is_user else list(actor.registry), revoke)


def _lift(actor: Tenant, message: LiftRevocation) -> int:
    tenant = actor.tenant
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
