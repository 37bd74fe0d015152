"""One connected stream: what its socket, the sweeper, the drain and those who speak over it need of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from qos import Frame, Lane, QueueLimits
from wsprism.realtime.keyed.session import KeyedSession

if TYPE_CHECKING:
    from qos import LaneCounters
    from wsprism.protocol.stream import StreamCodec
    from wsprism.realtime.outbound.flusher import Flusher

__all__ = ["STREAM_QUEUE", "StreamSession"]

STREAM_QUEUE: Final = QueueLimits(
    control_max_messages=1024,
    reliable_max_bytes=32 * 1024 * 1024,
    reliable_max_messages=65_536,
    hot_max_frames=8192,
    hot_max_bytes=16 * 1024 * 1024,
    reliable_weight=4,
    hot_weight=4,
)
"""A backend has room for all its tenant's questions under way and a batch of news, where a client has its own."""


class StreamSession(KeyedSession):
    """Speaks the encoding that the backend chose."""

    __slots__ = ("_codec",)

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
        super().__init__(
            stream_id,
            STREAM_QUEUE,
            flusher,
            lanes,
            key_name=key_name,
            remote_address=remote_address,
            opened_at=opened_at,
        )
        self._codec = codec

    def say(self, body: bytes, lane: Lane = Lane.RELIABLE) -> bool:
        """Queue a message, given as JSON. False: it cannot be said in this stream's encoding."""
        try:
            frame = self._codec.frame(body)
        except (ValueError, OverflowError):
            return False
        self.say_frame(frame, lane)
        return True

    def say_hot(self, payload: bytes, key: Hashable | None) -> None:
        """Queue a hot frame; under pressure a newer one of the same key replaces it."""
        self.outlet.offer(Frame(self._codec.hot_frame(payload), Lane.HOT, key))
