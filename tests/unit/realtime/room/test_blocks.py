"""Publications as frames: what one begins with is made once for many, and what is remembered of it is bounded."""

from __future__ import annotations

import msgspec
import pytest

from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import payload_of
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.room import blocks
from wsprism.realtime.room.blocks import frame_of

_PLAIN = wire_format(JSON, deflated=False)


@pytest.mark.parametrize("size", [0, 1, 60, 70, 80, 90, 65_400, 65_500, 70_000])
@pytest.mark.parametrize("room", ["lobby", None])
def test_a_publication_of_any_size_is_one_whole_frame(size: int, room: str | None) -> None:
    data = {"msg": "x" * size}
    publication = ExtPublication("chat", "msg", msgspec.json.encode(data))
    frame = frame_of(publication, _PLAIN, room).data
    payload = payload_of(frame)
    expected = {"v": 1, "svc": "chat", "type": "msg", "room": room, "data": data}
    assert JSON.encode({key: value for key, value in expected.items() if value is not None}) == payload
    assert frame == _PLAIN.frame(payload)


def test_types_that_a_backend_invents_are_said_and_not_all_remembered() -> None:
    for number in range(5000):
        frame = frame_of(ExtPublication("news", f"t{number}", b"1"), _PLAIN, "lobby")
        assert b'"type":"t%d"' % number in frame.data
    assert len(blocks._heads) <= blocks._MOST_HEADS
