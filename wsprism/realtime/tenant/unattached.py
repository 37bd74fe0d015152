"""Sessions that wait for their socket: one whose handshake ends in between would stay for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from wsprism.realtime.outbound.outlet import Closing

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["UNATTACHED_HANDLERS", "Unattached"]

_WITHIN_S: Final = 10.0


class _LookForSockets:
    """To itself: some sessions have waited for their socket long enough."""


class Unattached:
    """Sessions in the order of their opening, and until when each may wait."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._waiting: dict[ActorRef, tuple[float, Session]] = {}
        self._watches = False

    def add(self, session: Session) -> None:
        """From now on it has some seconds; the connection is known already."""
        self._waiting[session.connection] = (self._tenant.tenant.now() + _WITHIN_S, session)
        if not self._watches:
            self._watches = True
            self._tenant.context.call_later(_WITHIN_S, _LookForSockets())

    def forget(self, connection: ActorRef) -> None:
        """It has ended."""
        self._waiting.pop(connection, None)

    def look(self) -> None:
        """End those whose time is over and that have no socket."""
        now = self._tenant.tenant.now()
        while self._waiting:
            connection, (until, session) = next(iter(self._waiting.items()))
            if until > now:
                self._tenant.context.call_later(until - now, _LookForSockets())
                return
            del self._waiting[connection]
            if session.outlet.transport is None and session.outlet.closing is not Closing.DONE:
                connection.stop()
        self._watches = False


def _look(tenant: Tenant, _: _LookForSockets) -> None:
    tenant.unattached.look()


UNATTACHED_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {_LookForSockets: _look}
"""By the message's type, for the tenant."""
