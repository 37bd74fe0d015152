"""What nodes of one gateway say to each other of a room, as bytes: MessagePack arrays.

Never compiled: msgspec reads these classes' annotations, which compiled code has no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

__all__ = [
    "ChangedValue",
    "EntryWord",
    "ExtWord",
    "HotWord",
    "RemoteSender",
    "ValueWord",
    "read_changed",
    "read_entry",
    "read_ext",
    "read_hot",
    "write_word",
]


class ExtWord(msgspec.Struct, array_like=True, gc=False):
    """An ext message in the log; ``data`` is JSON, ``not_user`` and ``not_sid`` who does not get it."""

    svc: str
    type: str
    data: bytes
    not_user: str | None = None
    not_sid: str | None = None


class ValueWord(ExtWord):
    """A change of a value: ``data`` lacks its ``version``, which comes last. 0: it is a message like any other."""

    version: int = 0


class ChangedValue(msgspec.Struct, rename={"user": "from"}, gc=False):
    """The data of a change, as members are told it. ``value`` is empty where the key was deleted."""

    version: int
    key: str
    user: str
    value: msgspec.Raw = msgspec.Raw(b"")
    deleted: bool = False


class HotWord(msgspec.Struct, array_like=True, gc=False):
    """A hot frame and who sent it. Without a frame: on the node that says it, nobody of ``user`` is in the room now."""

    frame: bytes
    user: str | None = None
    sid: str | None = None
    not_user: str | None = None
    not_sid: str | None = None


class EntryWord(msgspec.Struct, array_like=True, gc=False):
    """An entry of presence, put ``by`` a node; ``lingers``: its connection was lost. ``info``, ``state``: JSON."""

    by: str
    lingers: bool
    sid: str
    since: str
    info: bytes | None
    state: bytes | None


write_word: Final = msgspec.msgpack.Encoder().encode
read_ext: Final = msgspec.msgpack.Decoder(ValueWord).decode
read_changed: Final = msgspec.json.Decoder(ChangedValue).decode
read_hot: Final = msgspec.msgpack.Decoder(HotWord).decode
read_entry: Final = msgspec.msgpack.Decoder(EntryWord).decode


@dataclass(frozen=True)
class RemoteSender:
    """Stands for a session of another node where its frames are conflated and kept. Nobody here can mute it."""

    user: str
    sid: str

    muted: ClassVar[bool] = False

    def was_put_out_of(self, room: object) -> bool:  # noqa: ARG002
        """Never: the node that it is on leaves out what is no longer to be heard."""
        return False
