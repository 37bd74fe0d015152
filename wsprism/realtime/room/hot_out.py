"""Hot frames of a room that other nodes are to get: the newest of each conflation key, until the next tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsprism.realtime.room.remote import frame_to_send

if TYPE_CHECKING:
    from wsprism.realtime.messages import HotPublication

__all__ = ["HotOut"]


class HotOut:
    """Bounded as a member's queue is; frames without a key are all kept within that bound."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: dict[Any, HotPublication] = {}

    def add(self, publication: HotPublication, most: int) -> None:
        """Take one more; the oldest of more than ``most`` goes."""
        key = publication.key
        if key is None or key[2] is None:
            key = object()
        self._frames.pop(key, None)
        self._frames[key] = publication
        if len(self._frames) > most:
            del self._frames[next(iter(self._frames))]

    def take(self) -> list[bytes]:
        """All of them as they go to the other nodes, the oldest first; none are left."""
        frames, self._frames = self._frames, {}
        return [frame_to_send(one) for one in frames.values()]
