"""The gate on a manual clock: one timer, the oldest first, and a head that is whole or refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.testing import ManualScheduler
from wsprism.realtime.counters import GatewayCounters
from wsprism.transport.http.gate import SPOKEN_WITHIN_S, Gate, HalfOpen, HttpLimits
from wsprism.transport.http.refusals import Refusals

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
RESERVED = 100


class Socket(asyncio.Transport):
    """Remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptor = 3
        self.written = b""
        self.ended: str | None = None
        self.protocol: asyncio.BaseProtocol | None = None
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 4711), "socket": self}.get(name, default)

    def fileno(self) -> int:
        return self.descriptor

    def setsockopt(self, *option: object) -> None:
        """It says itself how it ended."""

    def is_closing(self) -> bool:
        return self.ended is not None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "reset"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class Http(asyncio.Protocol):
    """What a whole head goes on to."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class Listener:
    """Gates with time for 5 s, 3 of them, of 64 bytes."""

    def __init__(self) -> None:
        self.clock = ManualScheduler()
        self.counters = GatewayCounters()
        refusals = Refusals(self.counters, self.clock.now)
        self.half_open = HalfOpen(HttpLimits(5.0, 3, 64), refusals, self.clock, RESERVED)

    def connect(self, descriptor: int = 3) -> tuple[Gate, Socket]:
        gate, socket = Gate(self.half_open, Http, tuned=True), Socket()
        socket.descriptor = descriptor
        gate.connection_made(socket)
        return gate, socket

    @property
    def refused(self) -> dict[str, int]:
        return dict(self.counters.handshakes_refused)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_a_whole_head_goes_on_with_everything_behind_it(listener: Listener) -> None:
    gate, socket = listener.connect()
    gate.data_received(HEAD[:7])
    gate.data_received(HEAD[7:-1])
    gate.data_received(HEAD[-1:] + b"behind")
    assert isinstance(socket.protocol, Http)
    assert socket.protocol.received == HEAD + b"behind"
    assert len(listener.half_open) == 0
    listener.clock.advance(60.0)
    assert (socket.ended, listener.refused) == (None, {})


def test_each_has_its_own_time_and_all_share_one_timer(listener: Listener) -> None:
    sockets = []
    for _ in range(3):
        sockets.append(listener.connect()[1])
        listener.clock.advance(1.0)
    listener.clock.advance(1.9)
    assert [one.ended for one in sockets] == [None, None, None]
    listener.clock.advance(0.2)
    assert [one.ended for one in sockets] == ["reset", None, None]
    listener.clock.advance(1.0)
    assert [one.ended for one in sockets] == ["reset", "reset", None]
    listener.clock.advance(1.0)
    assert [one.ended for one in sockets] == ["reset"] * 3
    assert listener.refused == {"handshake_timeout": 3}


def test_bytes_do_not_extend_the_time_and_are_answered_at_its_end(listener: Listener) -> None:
    gate, socket = listener.connect()
    for byte in b"GET /":
        gate.data_received(bytes([byte]))
        listener.clock.advance(1.0)
    assert socket.written.startswith(b"HTTP/1.1 408 ")
    assert socket.ended == "closed"


def test_the_oldest_gives_way(listener: Listener) -> None:
    (_, first), (second_gate, second), (_, third) = [listener.connect() for _ in range(3)]
    second_gate.data_received(HEAD)
    listener.connect()
    before = first.ended
    listener.connect()
    assert [before, first.ended, second.ended, third.ended] == [None, "reset", None, None]
    assert listener.refused == {"half_open_full": 1}
    assert len(listener.half_open) == 3


def test_who_leaves_is_forgotten_and_not_counted(listener: Listener) -> None:
    gate, _ = listener.connect()
    gate.connection_lost(None)
    assert gate.eof_received() is False
    listener.clock.advance(10.0)
    assert (len(listener.half_open), listener.refused) == (0, {})


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"\x16\x03\x01", b"400", "not_http"),
        (b"GET /" + b"a" * 80, b"431", "header_too_large"),
        (b"GET /" + b"a" * 80 + b" HTTP/1.1\r\n\r\n", b"431", "header_too_large"),
    ],
)
def test_a_refusal_is_answered_and_counted_once(listener: Listener, data: bytes, status: bytes, reason: str) -> None:
    gate, socket = listener.connect()
    gate.data_received(data)
    gate.data_received(data)
    assert socket.written.startswith(b"HTTP/1.1 " + status)
    assert socket.written.count(b"HTTP/1.1") == 1
    assert (socket.ended, socket.protocol, listener.refused) == ("closed", None, {reason: 1})


def test_a_closed_listener_drops_all_and_keeps_no_timer(listener: Listener) -> None:
    sockets = [listener.connect()[1] for _ in range(2)]
    listener.half_open.close()
    assert [one.ended for one in sockets] == ["reset", "reset"]
    listener.clock.advance(10.0)
    assert listener.refused == {}


@pytest.mark.parametrize("name", [b"Upgrade", b"UPGRADE"])
def test_what_is_behind_the_request_of_a_websocket_stays_in_the_kernel(listener: Listener, name: bytes) -> None:
    gate, socket = listener.connect()
    gate.data_received(b"GET / HTTP/1.1\r\n" + name + b": websocket\r\n\r\n")
    assert isinstance(socket.protocol, Http)
    assert not socket.reading


def test_what_is_behind_another_request_is_read(listener: Listener) -> None:
    gate, socket = listener.connect()
    gate.data_received(HEAD + b"\r\nUpgrade: websocket\r\n\r\n")
    assert socket.reading


def test_on_a_descriptor_of_the_reserve_requests_are_answered_and_none_is_upgraded(listener: Listener) -> None:
    upgrade = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
    for descriptor, goes_on in ((RESERVED - 1, True), (RESERVED, False)):
        gate, socket = listener.connect(descriptor)
        gate.data_received(upgrade)
        assert isinstance(socket.protocol, Http) == goes_on
        assert socket.written.startswith(b"" if goes_on else b"HTTP/1.1 503 ")
        gate, socket = listener.connect(descriptor)
        gate.data_received(HEAD)
        assert isinstance(socket.protocol, Http)
    assert listener.refused == {"out_of_descriptors": 1}
    assert len(listener.half_open) == 0


def test_silent_sockets_do_not_use_up_the_reserve(listener: Listener) -> None:
    _, first = listener.connect(RESERVED)
    listener.clock.advance(SPOKEN_WITHIN_S / 2)
    _, second = listener.connect(RESERVED + 1)
    assert [first.ended, second.ended] == [None, None]  # a request may be on its way in
    listener.clock.advance(SPOKEN_WITHIN_S / 2)
    listener.half_open.make_room()
    assert [first.ended, second.ended] == ["reset", None]
    assert listener.refused == {"out_of_descriptors": 1}
