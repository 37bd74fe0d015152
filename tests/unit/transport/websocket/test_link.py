"""A socket's bytes on their way in: in slices, no faster than they are taken, not at all while nobody wants them."""

from __future__ import annotations

import pytest

from actors.testing import ManualScheduler
from tests.fake_socket import FakeLoop, FakeSocket
from tests.masked import BINARY, CONTINUATION, FIN, PING, TEXT, frame
from tests.realtime_support import World, frames_in
from wsprism.protocol.envelope import JSON
from wsprism.protocol.websocket import Event, FrameDecoder
from wsprism.realtime.outbound.wire import wire_format
from wsprism.transport.websocket.link import READ_SLICE_BYTES, Link

READ_BYTES = 256_000
"""What uvloop reads at once."""

JOIN = frame(FIN | TEXT, b'{"v":1,"svc":"room","type":"join","room":"r"}')


class CountingDecoder:
    """A decoder that notes how much it was given and what came of it."""

    def __init__(self, max_bytes: int) -> None:
        self._decoder = FrameDecoder(max_bytes)
        self.limit = self._decoder.limit
        self.fed_bytes = self.events = 0

    def feed(self, data: bytes) -> list[Event]:
        self.fed_bytes += len(data)
        events = self._decoder.feed(data)
        self.events += len(events)
        return events


class Linked:
    """A connection behind a real link. The link's loop runs on its own, so that the tenant can be made to wait."""

    def __init__(self) -> None:
        self.world = World(policy={"rate_limit_rps": 1e6, "rate_limit_burst": 10**6}, limits={"max_frame_bytes": 65536})
        self.loop = ManualScheduler()

    async def open(self) -> None:
        session = (await self.world.ask("u", "s", wire_format(JSON, deflated=False))).session
        self.decoder = CountingDecoder(65536)
        self.socket = FakeSocket(self.loop)
        self.socket.link = Link(session, self.decoder, FakeLoop(self.loop), lambda _: None)  # type: ignore[arg-type]
        self.socket.link.attach(self.socket)
        self.world.settle()
        self.session = session

    def pongs(self) -> int:
        return sum(b'"pong"' in payload for _, payload in frames_in(self.socket.written))


@pytest.fixture
async def linked() -> Linked:
    linked = Linked()
    await linked.open()
    return linked


async def test_a_read_full_of_tiny_frames_is_decoded_slice_by_slice(linked: Linked) -> None:
    linked.socket.arrive(frame(FIN | BINARY) * (READ_BYTES // 6))
    assert linked.decoder.fed_bytes == READ_SLICE_BYTES
    assert not linked.socket.reading
    most = linked.decoder.events
    while linked.decoder.fed_bytes < READ_BYTES - 6:
        before = linked.decoder.events
        linked.loop.run_once()
        most = max(most, linked.decoder.events - before)
        linked.world.settle()
    assert most <= READ_SLICE_BYTES // 6 + 1
    while linked.loop.run_once() | linked.world.scheduler.run_once():
        pass
    assert linked.socket.reading
    assert linked.world.tenant.counters.messages_in_hot == READ_BYTES // 6


async def test_a_large_message_is_read_at_once(linked: Linked) -> None:
    linked.socket.arrive(frame(FIN | BINARY, bytes(65536)))
    assert linked.decoder.events == 1
    assert linked.socket.reading


async def test_nothing_is_read_while_the_connection_waits_whatever_else_is_delivered(linked: Linked) -> None:
    """The tenant does not answer the join: what the client goes on to say stays in its own socket."""
    ping = frame(FIN | TEXT, b'{"v":1,"svc":"sys","type":"ping"}')
    linked.socket.arrive(JOIN + ping * 5000)
    for _ in range(50):
        linked.loop.run_once()
        linked.socket.arrive(ping * 5000)
    assert not linked.socket.reading
    assert linked.decoder.fed_bytes <= 4 * READ_SLICE_BYTES
    linked.socket.waiting.clear()
    while linked.loop.run_once() | linked.world.scheduler.run_once():
        pass
    assert linked.socket.reading
    assert linked.pongs() == 5000


async def test_what_was_not_read_yet_is_forgotten_with_the_connection(linked: Linked) -> None:
    linked.socket.arrive(frame(FIN | BINARY) * (READ_BYTES // 6))
    linked.session.connection.stop()
    linked.world.settle()
    linked.loop.run_until_idle()
    assert linked.decoder.fed_bytes <= 2 * READ_SLICE_BYTES
    linked.socket.arrive(frame(FIN | PING) + frame(CONTINUATION))
    linked.loop.run_until_idle()
    assert not linked.world.failures
