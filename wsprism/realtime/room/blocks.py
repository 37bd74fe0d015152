"""Publications as frames, and frames cut into the blocks that queues take: once per wire format, not per receiver."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from qos import Block, Frame, Lane
from wsprism.protocol import sysmsg
from wsprism.realtime.messages import ExtPublication, HotPublication
from wsprism.realtime.outbound.wire import WireFormat

__all__ = ["BLOCK_BYTES", "blocks_of", "frame_of", "json_with_offset"]

BLOCK_BYTES: Final = 8 * 1024
"""A block is closed when it has grown to this: queues handle blocks whole as long as several fit into one write."""

_DATA: Final = b',"data":'
_RELIABLE: Final = Lane.RELIABLE
_HOT: Final = Lane.HOT


def frame_of(publication: ExtPublication | HotPublication, wire: WireFormat, room: str | None) -> Frame:
    """``publication`` as the frame of every receiver of ``wire``; ``room``: it was published there."""
    if type(publication) is HotPublication:
        return Frame(publication.frame, _HOT, publication.key)
    if publication.kept is not None:
        return Frame(publication.kept.frame(wire), _RELIABLE, None)
    svc, kind, data = publication.svc, publication.type, publication.data
    if wire.binary:
        return Frame(wire.encode(sysmsg.publication(svc, kind, room, msgspec.json.decode(data))), _RELIABLE, None)
    return Frame(wire.frame(b"".join((_json_head(svc, kind, room), data, b"}"))), _RELIABLE, None)


def json_with_offset(publication: ExtPublication, room: str, offset: int) -> bytes:
    """The payload of a publication that has its place in the history of ``room``."""
    head = _json_head(publication.svc, publication.type, room).removesuffix(_DATA)
    return b'%b,"offset":%d%b%b}' % (head, offset, _DATA, publication.data)


@lru_cache(maxsize=4096)
def _json_head(svc: str, kind: str, room: str | None) -> bytes:
    """A publication in JSON up to its data: the same for all of one type in a room."""
    return msgspec.json.encode(sysmsg.publication(svc, kind, room, None)).removesuffix(b"null}")


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
