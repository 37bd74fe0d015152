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
from wsprism.transport.websocket.inbound import READ_SLICE_BYTES
from wsprism.transport.websocket.link import Link

READ_BYTES = 256_000
"""What uvloop reads at once."""

JOIN = frame(FIN | TEXT, b'{"v":1,"svc":"room","type":"join","room":"r"}')


class CountingDecoder(FrameDecoder):
    """A decoder that notes how much it was given and what came of it."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.fed_bytes = self.events = 0

    def feed(self, data: bytes) -> list[Event]:
        self.fed_bytes += len(data)
        events = super().feed(data)
        self.events += len(events)
        return events


class Linked:
    """A connection behind a real link. The link's loop runs on its own, so that the tenant can be made to wait."""

    def __init__(self) -> None:
        self.world = World(policy={"rate_limit_rps": 1e6, "rate_limit_burst": 10**6}, limits={"max_frame_bytes": 65536})
        self.loop = ManualScheduler()
        self.lost = 0

    def count(self, _: Link) -> None:
        self.lost += 1

    async def open(self) -> None:
        session = (await self.world.ask("u", "s", wire_format(JSON, deflated=False))).session
        self.decoder = CountingDecoder(65536)
        self.socket = FakeSocket(self.loop)
        self.socket.link = Link(session, self.decoder, FakeLoop(self.loop), self.count)  # type: ignore[arg-type]
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


async def test_a_large_message_is_read_a_turn_at_a_time(linked: Linked) -> None:
    linked.socket.arrive(frame(FIN | BINARY, bytes(65000)))
    assert linked.decoder.fed_bytes == READ_SLICE_BYTES
    while linked.loop.run_once():
        pass
    assert linked.decoder.events == 1
    assert linked.socket.reading


async def test_a_socket_that_pours_gets_one_slice_of_each_turn_of_the_loop(linked: Linked) -> None:
    linked.socket.arrive(frame(FIN | BINARY, bytes(4000)) * 64)
    for turn in range(1, 10):
        assert linked.decoder.fed_bytes <= turn * READ_SLICE_BYTES
        linked.loop.run_once()
    while linked.loop.run_once() | linked.world.scheduler.run_once():
        pass
    assert linked.world.tenant.counters.messages_in_hot == 64


async def test_what_was_read_before_the_end_of_the_socket_is_heard_before_it(linked: Linked) -> None:
    linked.socket.arrive(JOIN)
    linked.socket.link.data_received(frame(FIN | BINARY) * (READ_BYTES // 6))
    linked.socket.link.connection_lost(None)
    while linked.loop.run_once() | linked.world.scheduler.run_once():
        pass
    assert linked.world.tenant.counters.messages_in_hot == READ_BYTES // 6
    assert linked.world.tenant.sessions == 0
    assert linked.lost == 1


async def test_a_socket_attached_to_a_connection_that_has_ended_is_closed(linked: Linked) -> None:
    session = (await linked.world.ask("u", "other", wire_format(JSON, deflated=False))).session
    session.connection.stop()
    linked.world.settle()
    socket = FakeSocket(linked.loop)
    socket.link = Link(session, CountingDecoder(65536), FakeLoop(linked.loop), linked.count)  # type: ignore[arg-type]
    socket.link.attach(socket)
    linked.loop.run_until_idle()
    assert socket.lost
    assert linked.lost == 1


class Unclosable(FakeSocket):
    """As uvloop's transports are once their handle is closed."""

    def write(self, data: bytes | bytearray | memoryview) -> None:  # noqa: ARG002
        raise RuntimeError("the handler is closed")

    abort = write  # type: ignore[assignment]


async def test_a_socket_that_can_be_neither_written_nor_closed_ends_its_connection_only(linked: Linked) -> None:
    session = (await linked.world.ask("u", "other", wire_format(JSON, deflated=False))).session
    socket = Unclosable(linked.loop)
    socket.link = Link(session, CountingDecoder(65536), FakeLoop(linked.loop), linked.count)  # type: ignore[arg-type]
    socket.link.attach(socket)
    while linked.loop.run_once() | linked.world.scheduler.run_once():
        pass
    assert linked.lost == 1
    assert linked.world.tenant.sessions == 1
    linked.socket.arrive(frame(FIN | TEXT, b'{"v":1,"svc":"sys","type":"ping"}'))
    linked.world.settle()
    assert linked.pongs() == 1


async def test_nothing_is_read_while_the_connection_waits_whatever_else_is_delivered(linked: Linked) -> None:
    """The tenant does not answer the join: what the client goes on to say stays in its own socket."""
    ping = frame(FIN | TEXT, b'{"v":1,"svc":"sys","type":"ping"}')
    linked.socket.arrive(JOIN + ping * 5000)
    for _ in range(50):
        linked.loop.run_once()
        linked.socket.arrive(ping * 100)
    assert not linked.socket.reading
    assert linked.decoder.fed_bytes <= 4 * READ_SLICE_BYTES
    while linked.loop.run_once() | linked.world.scheduler.run_once():
        pass
    assert linked.socket.reading
    assert linked.pongs() == 10_000


async def test_what_was_not_read_yet_is_forgotten_with_the_connection(linked: Linked) -> None:
    linked.socket.arrive(frame(FIN | BINARY) * (READ_BYTES // 6))
    linked.session.connection.stop()
    linked.world.settle()
    linked.loop.run_until_idle()
    assert linked.decoder.fed_bytes <= 2 * READ_SLICE_BYTES
    assert not linked.socket.reading
    linked.socket.arrive(frame(FIN | PING) + frame(CONTINUATION))
    linked.loop.run_until_idle()
    assert not linked.world.failures


async def test_a_ping_and_the_end_are_websocket_frames(linked: Linked) -> None:
    frames_in(linked.socket.written)
    linked.socket.written = b""
    link = linked.socket.link
    link.ping()
    link.end(4000, "slow")
    link.end(None, "")
    assert frames_in(linked.socket.written) == [(9, b""), (8, (4000).to_bytes(2) + b"slow"), (8, b"")]
