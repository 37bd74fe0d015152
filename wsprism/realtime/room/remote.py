"""A publication on its way between nodes: opaque bytes to the broker, made and read here only.

Hot frames carry who sent them, for conflation and snapshots; an ext message has lost its sender. Both carry whom the
backend excludes. What another version wrote and this one cannot read is None, never an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wsprism.protocol.frames import binary_frame, payload_of
from wsprism.protocol.hot import HotFault, decode_delivery, renumbered
from wsprism.protocol.node_words import (
    ExtWord,
    HotWord,
    RemoteSender,
    ValueWord,
    read_ext,
    read_hot,
    write_word,
)
from wsprism.realtime.messages import Exclusion, ExtPublication, HotPublication

if TYPE_CHECKING:
    from wsprism.realtime.rules import TenantRules

__all__ = [
    "RemoteSender",
    "UserGone",
    "frame_from",
    "frame_to_send",
    "gone_to_send",
    "payload_of_change",
    "payload_of_ext",
    "publication_from",
    "with_version",
]


class UserGone(NamedTuple):
    """The last session of ``user`` has left the room on another node."""

    user: str


def payload_of_ext(publication: ExtPublication) -> bytes:
    """As it goes into the log. A sender that does not get its own is excluded from it."""
    exclude, sender = publication.exclude, publication.sender
    if not publication.echo and sender is not None:
        exclude = Exclusion(sender.user, sender.sid)
    return write_word(
        ExtWord(
            publication.svc,
            publication.type,
            publication.data,
            None if exclude is None else exclude.user,
            None if exclude is None else exclude.sid,
        )
    )


def payload_of_change(publication: ExtPublication) -> bytes:
    """The same for a change of a value that has no version yet: that comes behind it."""
    return write_word(ValueWord(publication.svc, publication.type, publication.data))[:-1]


def with_version(data: bytes, version: int) -> bytes:
    """The data of a change of a value, once it has its version."""
    return b'{"version":%d,%b' % (version, data[1:])


def publication_from(payload: bytes) -> ExtPublication | None:
    """As the members of this node get it. The ``seq`` of a change of a value is its version."""
    try:
        said = read_ext(payload)
    except msgspec.MsgspecError:
        return None
    if said.version:
        return ExtPublication(said.svc, said.type, with_version(said.data, said.version), seq=said.version)
    return ExtPublication(said.svc, said.type, said.data, exclude=_exclusion(said.not_user, said.not_sid))


def frame_to_send(publication: HotPublication) -> bytes:
    """As other nodes get it."""
    sender, exclude = publication.sender, publication.exclude
    return write_word(
        HotWord(
            publication.frame,
            None if sender is None else sender.user,
            None if sender is None else sender.sid,
            None if exclude is None else exclude.user,
            None if exclude is None else exclude.sid,
        )
    )


def gone_to_send(user: str) -> bytes:
    """Among hot frames: nobody of ``user`` is in the room any more, on the node that says it."""
    return write_word(HotWord(b"", user))


def frame_from(payload: bytes, rules: TenantRules, room: str, number: int) -> HotPublication | UserGone | None:
    """As the members of this node get it, with the number that the room has here; or who has left another one."""
    try:
        said = read_hot(payload)
        if not said.frame and said.user is not None:
            return UserGone(said.user)
        frame = decode_delivery(payload_of(said.frame), rules.hot_framing)
    except (msgspec.MsgspecError, IndexError):
        return None
    if isinstance(frame, HotFault):
        return None
    sender = None if said.user is None else RemoteSender(said.user, said.sid or "")
    key = None
    if rules.conflation.active:
        key = (room, frame.service_id, rules.conflation.key_for(sender or "backend", frame.opcode, frame.payload))
    raw = frame.raw
    if rules.hot_room_numbers or frame.room is not None:
        raw = renumbered(raw, number if rules.hot_room_numbers else None, rules.hot_framing)
    return HotPublication(binary_frame(raw), key, sender, exclude=_exclusion(said.not_user, said.not_sid))


def _exclusion(user: str | None, sid: str | None) -> Exclusion | None:
    return None if user is None and sid is None else Exclusion(user, sid)
