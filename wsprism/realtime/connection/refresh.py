"""``sys.refresh``: a new ticket for a connection that stays. Functions over the connection that asked."""

from __future__ import annotations

from typing import Final

import msgspec

from wsprism.policy.decisions import Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.realtime.connection.core import Core
from wsprism.realtime.messages import InfoChanged, Narrowed, Refreshed
from wsprism.realtime.tenant.about import about_session

__all__ = ["ask_for_refresh", "refresh"]

_REFRESHES_PER_S: Final = 1
_REFRESHES_BURST: Final = 5
"""Whoever judges tickets (a key, a backend) is not asked at the rate of messages."""


class RefreshData(msgspec.Struct, forbid_unknown_fields=True):
    """The data of ``sys.refresh``."""

    ticket: str


def ask_for_refresh(connection: Core, envelope: Envelope) -> None:
    """Have the ticket of a ``sys.refresh`` judged as the handshake's was; the answer comes back as ``Refreshed``."""
    data = connection.decode_data(envelope, RefreshData)
    if isinstance(data, DataFault):
        connection.refuse(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, data.msg, envelope.seq)
        return
    if connection.refreshing:
        connection.refuse(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, "a refresh is under way", envelope.seq)
        return
    if connection.tenant_context.cut_off:
        connection.refuse(Reason.BROKER_AWAY, ErrorCode.UNAVAILABLE, "the ticket cannot be judged now", envelope.seq)
        return
    now = connection.tenant_context.now()
    if connection.refreshes is None:
        connection.refreshes = TokenBucket(_REFRESHES_PER_S, _REFRESHES_BURST, now)
    if not connection.refreshes.take(now):
        connection.refuse(Reason.RATE_LIMITED_EXT, ErrorCode.RATE_LIMITED, "too many refreshes", envelope.seq)
        return
    connection.refreshing = True
    seq = envelope.seq
    session = connection.session
    request = TicketRequest(
        connection.tenant_context.id,
        data.ticket,
        session.remote_address,
        origin=session.origin,
        user_agent=session.user_agent,
    )
    connection.context.run(
        connection.tenant_context.authenticator.authenticate(request),
        on_result=lambda principal: Refreshed(principal, seq),
        on_error=lambda _: Refreshed(TicketRefusal.CANNOT_TELL, seq),
    )


def refresh(connection: Core, message: Refreshed) -> None:
    """Live on with the new ticket, within its rooms, or go on with the old one."""
    connection.refreshing = False
    if not connection.is_open:
        return
    tenant, session, principal = connection.tenant_context, connection.session, message.verdict
    if principal is TicketRefusal.CANNOT_TELL:
        connection.refuse(Reason.TICKET_UNJUDGED, ErrorCode.UNAVAILABLE, "the ticket cannot be judged now", message.seq)
        return
    if not isinstance(principal, Principal) or principal.user != session.user:
        connection.refuse(Reason.AUTH_FAILED, ErrorCode.AUTH_FAILED, "ticket refused", message.seq)
        return
    if tenant.revocations.covers(session.user, session.sid, principal.token_id, tenant.unix_now()):
        connection.refuse(Reason.REVOKED, ErrorCode.AUTH_FAILED, "ticket refused", message.seq)
        return
    before = session.principal
    if session.refresh(principal) and tenant.rules.rooms.keeps_presence:
        tenant.ref.tell_control(InfoChanged(session))
    if tenant.shared is not None and session.key is not None:
        tenant.shared.describe(session.key, about_session(session, tenant.node_name))
    connection.session.outlet.send(sysmsg.refreshed(principal.expires_at, session.trace_id, message.seq))
    if principal.rooms is not None and principal.rooms != before.rooms:
        session.begin_narrowing()
        tenant.ref.tell_control(Narrowed(session, before))
