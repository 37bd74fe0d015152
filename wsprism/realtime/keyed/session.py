"""Whose socket it is: what the socket, the sweeper and the drain need of somebody who came with an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qos import Frame, Lane, OutboundQueue, QueueLimits
from wsprism.protocol.envelope import JSON
from wsprism.realtime.messages import CloseConnection
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.outbound.wire import wire_format

if TYPE_CHECKING:
    from actors import ActorRef
    from qos import LaneCounters
    from wsprism.realtime.outbound.flusher import Flusher

__all__ = ["KeyedSession"]


class KeyedSession:
    """``id`` is never given twice in the process. ``key_name``: of the API key that it came with."""

    __slots__ = ("connection", "id", "key_name", "opened_at", "outlet", "remote_address")

    expires_at: Final = None

    def __init__(
        self,
        session_id: str,
        limits: QueueLimits,
        flusher: Flusher,
        lanes: LaneCounters,
        *,
        key_name: str,
        remote_address: str,
        opened_at: float,
    ) -> None:
        self.id = session_id
        self.outlet = Outlet(OutboundQueue(limits, lanes), flusher, wire_format(JSON, deflated=False))
        self.connection: ActorRef
        self.key_name = key_name
        self.remote_address = remote_address
        self.opened_at = opened_at

    def say_frame(self, frame: bytes, lane: Lane) -> None:
        """Queue one ready frame."""
        self.outlet.offer(Frame(frame, lane, None))

    def close(self, code: int, reason: str) -> None:
        """Have it closed, after what is queued."""
        self.connection.tell_control(CloseConnection(code, reason))
