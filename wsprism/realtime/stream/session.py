"""One connected stream: what its socket, the sweeper, the drain and those who speak over it need of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from qos import Frame, Lane, OutboundQueue, QueueLimits
from wsprism.protocol.envelope import JSON
from wsprism.realtime.messages import CloseConnection
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.outbound.wire import wire_format

if TYPE_CHECKING:
    from actors import ActorRef
    from qos import LaneCounters
    from wsprism.protocol.stream import StreamCodec
    from wsprism.realtime.outbound.flusher import Flusher

__all__ = ["STREAM_QUEUE", "StreamSession"]

STREAM_QUEUE: Final = QueueLimits(
    control_max_messages=1024,
    reliable_max_bytes=32 * 1024 * 1024,
    reliable_max_messages=65_536,
    hot_max_frames=8192,
    reliable_weight=4,
    hot_weight=4,
)
"""A backend has room for all its tenant's questions under way and a batch of news, where a client has its own."""


class StreamSession:
    """``id`` is never given twice in the process. ``key_name``: of the API key that it came with."""

    __slots__ = ("_codec", "connection", "id", "key_name", "opened_at", "outlet", "remote_address")

    expires_at: Final = None

    def __init__(
        self,
        stream_id: str,
        codec: StreamCodec,
        flusher: Flusher,
        lanes: LaneCounters,
        *,
        key_name: str,
        remote_address: str,
        opened_at: float,
    ) -> None:
        self.id = stream_id
        self.outlet = Outlet(OutboundQueue(STREAM_QUEUE, lanes), flusher, wire_format(JSON, deflated=False))
        self.connection: ActorRef
        self.key_name = key_name
        self.remote_address = remote_address
        self.opened_at = opened_at
        self._codec = codec

    def say(self, body: bytes, lane: Lane = Lane.RELIABLE) -> bool:
        """Queue a message, given as JSON. False: it cannot be said in this stream's encoding."""
        try:
            frame = self._codec.frame(body)
        except (ValueError, OverflowError):
            return False
        self.outlet.offer(Frame(frame, lane, None))
        return True

    def say_hot(self, payload: bytes, key: Hashable | None) -> None:
        """Queue a hot frame; under pressure a newer one of the same key replaces it."""
        self.outlet.offer(Frame(self._codec.hot_frame(payload), Lane.HOT, key))

    def close(self, code: int, reason: str) -> None:
        """Have it closed, after what is queued."""
        self.connection.tell_control(CloseConnection(code, reason))
