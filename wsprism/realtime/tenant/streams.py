"""The streams of a tenant's backend, as the tenant actor has them: it opens, bounds and supervises them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from actors import Directive, MailboxSpec, Supervision
from wsprism.realtime.stream.actor import BackendStream
from wsprism.realtime.stream.messages import NoStream
from wsprism.realtime.stream.session import StreamSession

if TYPE_CHECKING:
    from actors import ActorContext, ActorRef
    from wsprism.realtime.messages import CloseConnection
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.stream.messages import OpenStream

__all__ = ["MAX_STREAMS", "Streams"]

MAX_STREAMS: Final = 64
"""Of one tenant."""

_MAILBOX: Final = MailboxSpec(capacity=4096)
_A_CRASH_ENDS_IT: Final = Supervision(directive=lambda _: Directive.STOP)


class Streams:
    """One per tenant actor. ``len()`` is the number of those whose actor lives."""

    def __init__(self, tenant: TenantContext, context: ActorContext, flusher: Flusher) -> None:
        self._tenant = tenant
        self._context = context
        self._flusher = flusher
        self._live: dict[ActorRef, StreamSession] = {}

    def __len__(self) -> int:
        return len(self._live)

    def open(self, message: OpenStream) -> StreamSession | NoStream:
        """One more, unless there are too many, or the backend may not connect by itself (any more)."""
        tenant = self._tenant
        hub = None if tenant.backend is None else tenant.backend.streams
        if hub is None or tenant.removed:
            return NoStream.NOT_WANTED
        if len(self._live) >= MAX_STREAMS:
            return NoStream.TOO_MANY
        session = StreamSession(
            os.urandom(8).hex(),
            message.codec,
            self._flusher,
            tenant.counters.stream.lanes,
            key_name=message.key_name,
            remote_address=message.remote_address,
            opened_at=tenant.now(),
        )
        session.connection = session.outlet.connection = self._context.spawn(
            lambda: BackendStream(tenant, session, message.codec, hub, message.calls),
            name=f"stream-{session.id}",
            mailbox=_MAILBOX,
            supervision=_A_CRASH_ENDS_IT,
        )
        self._live[session.connection] = session
        self._context.watch(session.connection)
        return session

    def ended(self, ref: ActorRef) -> bool:
        """Whether ``ref`` was a stream's; it is gone."""
        return self._live.pop(ref, None) is not None

    def close(self, farewell: CloseConnection) -> None:
        """End all of them."""
        for ref in self._live:
            ref.tell_control(farewell)
