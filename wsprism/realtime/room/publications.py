"""Makes publications of what a backend, a service or the room itself gives: trusted, without a sender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import binary_frame, payload_of, text_frame
from wsprism.protocol.hot import Framing, HotFault, decode_hot, with_room
from wsprism.realtime.messages import ExtPublication, HotPublication
from wsprism.realtime.room.kept_publication import KeptPublication

if TYPE_CHECKING:
    from wsprism.realtime.rules import TenantRules

__all__ = ["BACKEND", "ListIds", "hot_publication", "numbered_frame", "own_publication"]

BACKEND: Final = "backend"
"""Stands for the sender where hot frames are conflated by sender."""


class ListIds:
    """Names of the ext publications of one list of effects, made of the ``id`` of the message that it answers.

    The first into a room has the ``id`` itself, the others a number behind it and a space, which no client's id holds:
    of a list that is given once more nothing is published again.
    """

    __slots__ = ("_given", "_id")

    def __init__(self, id: str) -> None:
        self._id = id
        self._given: dict[str, int] = {}

    def next_in(self, room: str) -> str:
        """For one more into ``room``."""
        given = self._given[room] = self._given.get(room, 0) + 1
        return self._id if given == 1 else f"{self._id} {given}"


def hot_publication(raw: bytes, rules: TenantRules, room: str | None) -> HotPublication | None:
    """A whole hot frame for ``room`` (None: for single sessions); None: it is not in the tenant's framing now."""
    frame = decode_hot(raw, rules.hot_framing)
    if isinstance(frame, HotFault):
        return None
    frame = with_room(frame, None)
    key = None
    if rules.conflation.active:
        key = (room, frame.service_id, rules.conflation.key_for(BACKEND, frame.opcode, frame.payload))
    return HotPublication(binary_frame(frame.raw), key)


def numbered_frame(ready: bytes, framing: Framing, number: int) -> bytes:
    """A ready hot frame with its room's number; as it is when the tenant's framing has changed since it was made."""
    frame = decode_hot(payload_of(ready), framing)
    return ready if isinstance(frame, HotFault) else binary_frame(with_room(frame, number).raw)


def own_publication(type: str, message: Mapping[str, Any]) -> ExtPublication:
    """The room's own word to every member, of this ``type`` of ``sys``: ``message`` is the whole of it."""
    publication = ExtPublication("sys", type, b"")
    publication.kept = KeptPublication(text_frame(JSON.encode(message)))
    return publication
