"""What a room's tails hear: the frames that a member who speaks JSON gets, in the room's order.

Called by whoever publishes into a room, and only while the tenant has a tail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from wsprism.protocol.envelope import JSON
from wsprism.realtime.keyed.session import KeyedSession
from wsprism.realtime.messages import ExtPublication, HotPublication
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.room.blocks import blocks_of, frame_of

__all__ = ["tell_tails"]

_WIRE: Final = wire_format(JSON, deflated=False)


def tell_tails(
    tails: Mapping[str, Sequence[KeyedSession]], room: str, publications: Sequence[ExtPublication | HotPublication]
) -> None:
    """Offer them to the tails of ``room``; they have their offsets by now, or were said before."""
    watching = tails.get(room)
    heard = [one for one in publications if not (isinstance(one, ExtPublication) and one.again)]
    if not watching or not heard:
        return
    for block in blocks_of([frame_of(one, _WIRE, room) for one in heard]):
        for tail in watching:
            tail.outlet.offer_block(block)
