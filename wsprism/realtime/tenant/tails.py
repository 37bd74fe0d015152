"""The tails of a tenant's rooms, as the tenant actor has them: it opens, bounds and supervises them.

Those who are told stand in ``TenantContext.tails`` by the room's name, which need not have members.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from actors import Directive, MailboxSpec, Supervision
from qos import QueueLimits
from wsprism.realtime.keyed.session import KeyedSession
from wsprism.realtime.tail.actor import RoomTail
from wsprism.realtime.tail.messages import NoTail

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import ActorContext, ActorRef
    from wsprism.realtime.messages import CloseConnection
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.tail.messages import OpenTail

__all__ = ["MAX_TAILS", "Tails"]

MAX_TAILS: Final = 64
"""Of one tenant."""

_QUEUE: Final = QueueLimits(
    control_max_messages=64,
    reliable_max_bytes=8 * 1024 * 1024,
    reliable_max_messages=16_384,
    hot_max_frames=1024,
    reliable_weight=4,
    hot_weight=4,
)
_MAILBOX: Final = MailboxSpec(capacity=256)
_A_CRASH_ENDS_IT: Final = Supervision(directive=lambda _: Directive.STOP)


class Tails:
    """One per tenant actor. ``len()`` is the number of those whose actor lives.

    A room is ``watched`` from its first tail on, and ``unwatched`` when it has none any more.
    """

    def __init__(
        self,
        tenant: TenantContext,
        context: ActorContext,
        flusher: Flusher,
        watched: Callable[[str], object],
        unwatched: Callable[[str], object],
    ) -> None:
        self._tenant = tenant
        self._context = context
        self._flusher = flusher
        self._watched = watched
        self._unwatched = unwatched
        self._live: set[ActorRef] = set()

    def __len__(self) -> int:
        return len(self._live)

    def open(self, message: OpenTail) -> KeyedSession | NoTail:
        """One more, unless there are too many. What is published from now on waits for its socket."""
        tenant, room = self._tenant, message.room
        if tenant.removed:
            return NoTail.TENANT_REMOVED
        if len(self._live) >= MAX_TAILS:
            return NoTail.TOO_MANY
        session = KeyedSession(
            os.urandom(8).hex(),
            _QUEUE,
            self._flusher,
            tenant.counters.tails.lanes,
            key_name=message.key_name,
            remote_address=message.remote_address,
            opened_at=tenant.now(),
        )
        session.connection = session.outlet.connection = self._context.spawn(
            lambda: RoomTail(tenant, session, lambda: self._forget(room, session)),
            name=f"tail-{session.id}",
            mailbox=_MAILBOX,
            supervision=_A_CRASH_ENDS_IT,
        )
        self._live.add(session.connection)
        self._context.watch(session.connection)
        tenant.tails.setdefault(room, []).append(session)
        self._watched(room)
        tenant.counters.tails.connected = len(self._live)
        return session

    def ended(self, ref: ActorRef) -> bool:
        """Whether ``ref`` was a tail's; it is gone."""
        if ref not in self._live:
            return False
        self._live.remove(ref)
        self._tenant.counters.tails.connected = len(self._live)
        return True

    def close(self, farewell: CloseConnection) -> None:
        """End all of them."""
        for ref in self._live:
            ref.tell_control(farewell)

    def _forget(self, room: str, session: KeyedSession) -> None:
        watching = self._tenant.tails.get(room, [])
        if session not in watching:
            return
        watching.remove(session)
        if not watching:
            del self._tenant.tails[room]
            self._unwatched(room)
