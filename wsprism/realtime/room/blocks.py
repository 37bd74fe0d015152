"""Publications as frames, and frames cut into the blocks that queues take: once per wire format, not per receiver."""

from __future__ import annotations

from typing import Final

import msgspec

from qos import Block, Frame, Lane
from wsprism.protocol import sysmsg
from wsprism.protocol.frames import text_frame_of
from wsprism.realtime.messages import ExtPublication, HotPublication
from wsprism.realtime.outbound.wire import WireFormat

__all__ = ["BLOCK_BYTES", "blocks_of", "frame_of", "json_with_offset"]

BLOCK_BYTES: Final = 8 * 1024
"""A block is closed when it has grown to this: queues handle blocks whole as long as several fit into one write."""

_DATA: Final = b',"data":'

_MOST_HEADS: Final = 4096
_heads: Final[dict[tuple[str, str, str | None], bytes]] = {}
"""By service, type and room: what publications begin with, made once for many; of too many the oldest goes."""

_RELIABLE: Final = Lane.RELIABLE
_HOT: Final = Lane.HOT


def frame_of(publication: ExtPublication | HotPublication, wire: WireFormat, room: str | None) -> Frame:
    """``publication`` as the frame of every receiver of ``wire``; ``room``: it was published there."""
    if type(publication) is HotPublication:
        return Frame(publication.frame, _HOT, publication.key)
    kept = publication.kept
    if kept is not None:
        return Frame(kept.frame(wire), _RELIABLE, None)
    svc, kind, data = publication.svc, publication.type, publication.data
    if wire.binary:
        return Frame(wire.encode(sysmsg.publication(svc, kind, room, msgspec.json.decode(data))), _RELIABLE, None)
    head = _heads.get((svc, kind, room)) or _json_head(svc, kind, room)
    if wire.deflated:
        return Frame(wire.frame(b"".join((head, data, b"}"))), _RELIABLE, None)
    return Frame(text_frame_of(head, data, b"}"), _RELIABLE, None)


def json_with_offset(publication: ExtPublication, room: str, offset: int) -> bytes:
    """The payload of a publication that has its place in the history of ``room``."""
    svc, kind = publication.svc, publication.type
    head = (_heads.get((svc, kind, room)) or _json_head(svc, kind, room)).removesuffix(_DATA)
    return b'%b,"offset":%d%b%b}' % (head, offset, _DATA, publication.data)


def _json_head(svc: str, kind: str, room: str | None) -> bytes:
    """A publication in JSON up to its data: the same for all of one type in a room."""
    head = msgspec.json.encode(sysmsg.publication(svc, kind, room, None)).removesuffix(b"null}")
    if len(_heads) >= _MOST_HEADS:
        del _heads[next(iter(_heads))]
    _heads[svc, kind, room] = head
    return head


def blocks_of(frames: list[Frame]) -> list[Block]:
    """``frames`` in blocks of not much more than ``BLOCK_BYTES``."""
    whole = Block(frames)
    if len(whole.data) <= BLOCK_BYTES:
        return [whole]
    blocks: list[Block] = []
    first = size_bytes = 0
    for position, frame in enumerate(frames):
        size_bytes += len(frame.data)
        if size_bytes >= BLOCK_BYTES:
            blocks.append(Block(frames[first : position + 1]))
            first, size_bytes = position + 1, 0
    if first < len(frames):
        blocks.append(Block(frames[first:]))
    return blocks
