"""The fuzz target of the connection's state machine: a script of bytes, ticks and a socket's moods, on a manual clock.

The real decoder, link, connection, tenant, room and flusher are driven; only the socket and the clock are not real. A
well-behaved neighbour sits in the same room and must notice nothing but messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from qos import Lane
from tests.fake_socket import FakeLoop, FakeSocket
from tests.masked import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, compress, frame
from tests.realtime_support import Peer, World, frames_in
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.websocket import FrameDecoder
from wsprism.realtime.outbound.wire import wire_format
from wsprism.transport.websocket.link import Link

__all__ = ["OPS", "connection", "record"]

MAX_FRAME_BYTES: Final = 512
LONGEST_CONTROL_FRAME: Final = 131
_MAX_OPS: Final = 200

OPS: Final = (
    "raw",
    "text",
    "binary",
    "ping",
    "pong",
    "close",
    "begin text",
    "begin binary",
    "continue",
    "finish",
    "compressed",
    "wait",
    "fill",
    "drain",
    "neighbour",
    "settle",
    "eof",
)
"""What a record of a script can do, by its first byte."""

_FIRST_BYTES: Final = {
    "text": FIN | TEXT,
    "binary": FIN | BINARY,
    "ping": FIN | PING,
    "pong": FIN | PONG,
    "close": FIN | CLOSE,
    "begin text": TEXT,
    "begin binary": BINARY,
    "continue": CONTINUATION,
    "finish": FIN | CONTINUATION,
}


def record(op: str, payload: bytes = b"") -> bytes:
    """One record of a script: the op, two bytes of length, the payload."""
    return bytes((OPS.index(op),)) + len(payload).to_bytes(2) + payload


def _records(script: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    for _ in range(_MAX_OPS):
        if at >= len(script):
            return
        size = int.from_bytes(script[at + 1 : at + 3])
        yield OPS[script[at] % len(OPS)], script[at + 3 : at + 3 + size]
        at += 3 + size


class Machine:
    """One hostile connection and its neighbour."""

    def __init__(self, variant: int) -> None:
        self.world = World(
            limits={"max_frame_bytes": MAX_FRAME_BYTES, "max_rooms_per_user": 3, "max_rooms_total": 4},
            policy={
                "rate_limit_rps": 50,
                "rate_limit_burst": 40,
                "rate_limit_close_after_ms": 1000 if variant & 4 else 0,
                "hot_framing": "versioned" if variant & 8 else "compact",
                "hot_requires_active_room": not variant & 16,
                "publish_requires_membership": not variant & 32,
            },
            qos={"conflate": "key:2" if variant & 64 else "none", "hot_max_frames": 8, "reliable_max_bytes": 4096}
            | ({"hot_flush_ms": 50} if variant & 128 else {}),
        )
        self._codec = MSGPACK if variant & 1 else JSON
        self._deflated = bool(variant & 2)
        self.neighbour: Peer
        self.socket: FakeSocket
        self.decoder: FrameDecoder

    async def run(self, script: bytes) -> None:
        world = self.world
        self.neighbour = await world.connect("neighbour")
        self.neighbour.join("r")
        self.neighbour.heard()
        actors_before = world.system.statistics().actors
        opened = await world.ask("hostile", "s", wire_format(self._codec, deflated=self._deflated))
        self._attach(opened.session)
        for op, payload in _records(script):
            self._step(op, payload)
            await asyncio.sleep(0)  # a ticket's check is a task
            self._check()
        self._end()
        await asyncio.sleep(0)
        world.settle()
        assert world.system.statistics().actors == actors_before
        self._check_end()

    def _attach(self, session: Any) -> None:
        self.session = session
        self.decoder = FrameDecoder(MAX_FRAME_BYTES, deflate=self._deflated)
        self.socket = FakeSocket(self.world.scheduler)
        self.ended = 0
        link = Link(session, self.decoder, FakeLoop(self.world.scheduler), self._on_lost)  # type: ignore[arg-type]
        self.socket.link = link
        link.attach(self.socket)
        self.world.settle()

    def _on_lost(self, _: Link) -> None:
        self.ended += 1

    def _step(self, op: str, payload: bytes) -> None:
        world, socket = self.world, self.socket
        if op in _FIRST_BYTES:
            socket.arrive(frame(_FIRST_BYTES[op], payload))
        elif op == "raw":
            socket.arrive(payload)
        elif op == "compressed":
            socket.arrive(frame(FIN | RSV1 | TEXT, compress(payload)))
        elif op == "wait":
            world.scheduler.advance(len(payload) / 100)
        elif op == "neighbour":
            self.neighbour.chat("hello")
        elif op in ("fill", "drain"):
            socket.set_full(op == "fill")
        elif op == "eof" and not socket.closing:
            assert not socket.link.eof_received()
            socket.close()
        else:
            world.settle()
            socket.pump()

    def _check(self) -> None:
        world, outlets = self.world, (self.session.outlet, self.neighbour.outlet)
        assert not world.failures, world.failures
        lanes = world.tenant.counters.lanes
        for lane in Lane:
            queued = [outlet.queue.queued(lane) for outlet in outlets]
            assert lanes.queued[lane] == sum(count for count, _ in queued)
            assert lanes.queued_bytes[lane] == sum(size for _, size in queued)
        assert self.decoder.buffered_bytes < MAX_FRAME_BYTES + LONGEST_CONTROL_FRAME
        assert self.session.outlet.queue.queued(Lane.RELIABLE)[1] <= max(4096, 2 * MAX_FRAME_BYTES)
        assert world.tenant.registry.rooms_of_user("hostile") <= 3
        assert world.tenant.rooms <= 4
        assert self.ended <= 1

    def _end(self) -> None:
        """Whatever state it is in, it ends: by its own closing handshake's deadline, or with its socket."""
        self.world.settle()
        if self._has_close():
            self.world.scheduler.advance(2.0)
            assert self.socket.lost, "a connection that was closed keeps its socket"
        elif not self.socket.closing:
            self.socket.abort()
        self.socket.set_full(False)
        self.world.settle()
        self._check()

    def _has_close(self) -> bool:
        return any(opcode == 8 for opcode, _ in frames_in(self.socket.written))

    def _check_end(self) -> None:
        world = self.world
        assert self.ended == 1
        frames = frames_in(self.socket.written)
        assert not any(opcode == 8 for opcode, _ in frames[:-1]), "something was sent after the Close"
        assert (world.tenant.sessions, world.tenant.registry.rooms_of_user("hostile")) == (1, 0)
        assert sum(world.tenant.counters.closed.values()) == 1
        self.neighbour.say({"v": 1, "svc": "sys", "type": "ping", "seq": 7})
        heard = [one for one in self.neighbour.heard() if isinstance(one, dict)]
        assert heard[-1]["type"] == "pong"
        for one in heard[:-1]:
            assert (one["svc"], one["type"]) == ("chat", "msg")
            assert one["data"]["from"] in ("hostile", "neighbour")
        assert not world.failures, world.failures


_loop: asyncio.AbstractEventLoop | None = None


def connection(data: bytes) -> None:
    """Any script leaves the account exact, the neighbour undisturbed, nothing behind, and one Close at most."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    _loop.run_until_complete(Machine(data[0] if data else 0).run(data[1:]))
