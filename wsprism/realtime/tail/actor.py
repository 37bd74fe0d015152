"""One tail: its socket is told what is published into a room, and has nothing to say itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from qos import Lane
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode
from wsprism.realtime.keyed.actor import KeyedSocket
from wsprism.realtime.keyed.session import KeyedSession
from wsprism.realtime.messages import CloseConnection

if TYPE_CHECKING:
    from wsprism.realtime.rules import TenantContext

__all__ = ["RoomTail"]

_log = logging.getLogger("wsprism.api")

_SAYS_SOMETHING: Final = CloseConnection(CloseCode.PROTOCOL_ERRORS, "a tail only listens")


class RoomTail(KeyedSocket[KeyedSession]):
    """``forget``: have it told nothing more."""

    what = "a room's tail"
    log = _log

    def __init__(self, tenant: TenantContext, session: KeyedSession, forget: Callable[[], None]) -> None:
        super().__init__(tenant, session)
        self._counters = tenant.counters.tails
        self._forget = forget

    def hear(self, message: str | bytes) -> None:  # noqa: ARG002 (whatever it is)
        self.close(_SAYS_SOMETHING)

    def opened(self) -> None:
        self._counters.opened += 1

    def ended(self, code: int) -> None:
        self._forget()
        self._counters.slow += code == CloseCode.SLOW_CONSUMER

    def drains(self, reconnect_after_ms: int) -> None:
        self._outlet.send(sysmsg.draining(reconnect_after_ms, self._session.id), Lane.CONTROL)
