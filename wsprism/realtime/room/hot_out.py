"""Hot frames of a room that other nodes are to get: the newest of each conflation key, until the next tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsprism.realtime.room.remote import frame_to_send, gone_to_send

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.realtime.messages import HotPublication

__all__ = ["HotOut"]


class HotOut:
    """Bounded as a member's queue is; frames without a key are all kept within that bound.

    Who has left stands among them.
    """

    __slots__ = ("_frames", "_gone")

    def __init__(self) -> None:
        self._frames: dict[Any, HotPublication | str] = {}
        self._gone = 0

    def add(self, publication: HotPublication, most: int) -> None:
        """Take one more; the oldest of more than ``most`` goes."""
        key = publication.key
        if key is None or key[2] is None:
            key = object()
        self._frames.pop(key, None)
        self._frames[key] = publication
        if len(self._frames) - self._gone > most:
            del self._frames[next(key for key, one in self._frames.items() if not isinstance(one, str))]

    def add_gone(self, user: str) -> None:
        """``user`` has left behind what was taken so far."""
        key = (HotOut, user)
        self._gone += self._frames.pop(key, None) is None
        self._frames[key] = user

    def take(self, room: ActorRef) -> list[bytes]:
        """All of them as they go to the other nodes, the oldest first; none are left.

        What those have said who were put out of ``room`` or have ended since is not among them.
        """
        frames, self._frames, self._gone = self._frames, {}, 0
        return [
            gone_to_send(one) if isinstance(one, str) else frame_to_send(one)
            for one in frames.values()
            if isinstance(one, str) or one.sender is None or not one.sender.muted or not one.sender.was_put_out_of(room)
        ]
