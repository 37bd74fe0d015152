"""The histories of a ``MemoryRoomStore`` as entries of a state file: a planned restart loses none of them.

An entry is one room's history, whole: its key begins with a number that rises with the time of last use, its value is
MessagePack. Times in it are Unix times, so that they go on while no process runs. Called while nothing else happens in
the store; knows no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Final

import msgspec

from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.policy.history import History, HistoryBounds, Position
from wsprism.ports import Kept
from wsprism.realtime.room.kept_publication import KeptPublication

__all__ = ["NotReadable", "give_back", "saved"]

_FORM: Final = 1
_RANK_BYTES: Final = 8


class NotReadable(ValueError):
    """An entry that this version cannot make a history of."""


class _Saved(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """``frames``: what was published, each with its time and its id."""

    form: int
    epoch: str
    top: Annotated[int, msgspec.Meta(ge=0)]
    used_at: float
    frames: list[tuple[bytes, float, str | None]]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Saved).decode


def saved(store: MemoryRoomStore, now: float, unix_now: float) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every room's history, the one used most recently first. Whoever is a member leaves now."""
    to_unix = unix_now - now
    for rank, (room, history) in zip(range(len(store), 0, -1), store.newest_first(), strict=True):
        frames = [(kept.json, at + to_unix, id) for kept, at, id in _all_kept(history)]
        used_at = (now if history.members else history.used_at) + to_unix
        value = _encode(_Saved(_FORM, history.epoch, history.top, used_at, frames))
        yield rank.to_bytes(_RANK_BYTES, "big") + room.encode("utf-8", "surrogatepass"), value


def give_back(
    store: MemoryRoomStore,
    key: bytes,
    value: bytes,
    bounds_of: Callable[[str], HistoryBounds | None],
    now: float,
    unix_now: float,
) -> bool:
    """Have a room go on where it stood, within its bounds of today; False: it is to keep nothing.

    To be called in the order of keys. Raises NotReadable.
    """
    from_unix = now - unix_now
    try:
        room = key[_RANK_BYTES:].decode("utf-8", "surrogatepass")
        kept = _decode(value)
        if kept.form != _FORM:
            raise ValueError(f"form {kept.form}")
        bounds = bounds_of(room)
        if bounds is None:
            return False
        publications = []
        for frame, at, id in kept.frames:
            publication: Kept = KeptPublication(frame)
            publications.append((publication, publication.size_bytes, at + from_unix, id))
        position = Position(kept.epoch, kept.top)
        history = History.restored(position, bounds, kept.used_at + from_unix, publications, now)
    except (ValueError, msgspec.MsgspecError) as fault:
        raise NotReadable(f"the history of a room cannot be read: {fault}") from fault
    store.put_back(room, history)
    return True


def _all_kept(history: History[Kept]) -> Iterator[tuple[KeptPublication, float, str | None]]:
    for kept, at, id in history.all_kept():
        assert isinstance(kept, KeptPublication)
        yield kept, at, id
