"""How a room hears its broker: what comes is put into its mailbox, in its order, with whose ears heard it.

A room that subscribes again, or is restarted, has new ears; what the old ones have heard is known as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.ports import Batch

__all__ = ["Ears", "Heard", "HotFrames", "PresentNow", "Signal"]


class Signal(Enum):
    """What a broker says besides batches."""

    SUBSCRIBED = auto()
    LOST = auto()


class HotFrames:
    """Frames of another node."""

    __slots__ = ("frames",)

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.frames = frames


class PresentNow:
    """A session has this entry of presence; None: it is present no more."""

    __slots__ = ("entry", "sid", "user")

    def __init__(self, user: str, sid: str, entry: bytes | None) -> None:
        self.user = user
        self.sid = sid
        self.entry = entry


class Heard:
    """To a room: what its broker said."""

    __slots__ = ("ears", "what")

    def __init__(self, ears: Ears, what: Batch | HotFrames | PresentNow | Signal) -> None:
        self.ears = ears
        self.what = what


class Ears:
    """A ``RoomListener``."""

    def __init__(self, room: ActorRef) -> None:
        self._room = room

    def subscribed(self) -> None:
        self._room.tell_control(Heard(self, Signal.SUBSCRIBED))

    def ordered(self, batch: Batch) -> None:
        self._room.tell_control(Heard(self, batch))

    def hot(self, frames: Sequence[bytes]) -> None:
        self._room.tell_control(Heard(self, HotFrames(frames)))

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        self._room.tell_control(Heard(self, PresentNow(user, sid, entry)))

    def lost(self) -> None:
        self._room.tell_control(Heard(self, Signal.LOST))
