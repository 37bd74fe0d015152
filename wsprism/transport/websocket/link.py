"""One upgraded socket: bytes in become events for its connection, ready frames go out.

It is the asyncio protocol of the socket's transport and the ``Transport`` that the flusher writes to. It decides
nothing: what an event means is the connection's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from wsprism.protocol.frames import close_frame, ping_frame
from wsprism.protocol.websocket import Event, FrameDecoder
from wsprism.realtime.messages import Attached, TransportLost
from wsprism.transport.http.sockets import limit_unsent, reset, taken_by_peer

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.outbound.sweeper import SocketOwner

__all__ = ["Link"]

_log = logging.getLogger("wsprism.connection")

HIGH_WATER_BYTES: Final = 32 * 1024
READ_SLICE_BYTES: Final = 16 * 1024
"""What is read and decoded at once. Whoever sends more takes turns with everybody else; the kernel keeps the rest."""

_PING: Final = ping_frame()
_BUFFER: Final = memoryview(bytearray(READ_SLICE_BYTES))
"""What every socket is read into: both event loops fill it and call ``buffer_updated`` in the same step."""


class Link(asyncio.BufferedProtocol):
    """Created for a session just before the upgrade, live from ``attach`` on. ``on_lost`` is called once at the end."""

    __slots__ = (
        "_connection",
        "_decoder",
        "_goes_on",
        "_held",
        "_loop",
        "_lost",
        "_on_lost",
        "_polled",
        "_reading_paused",
        "_rests",
        "_transport",
        "_undelivered",
        "_unread",
        "heard_at",
        "outlet",
        "paused",
        "pinged_at",
        "session",
    )

    def __init__(
        self,
        session: SocketOwner,
        decoder: FrameDecoder,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[Link], None],
    ) -> None:
        self.session = session
        self.outlet: Outlet = session.outlet
        self.heard_at = self.pinged_at = loop.time()
        self.paused = False
        self._connection: ActorRef = session.connection
        self._decoder = decoder
        self._loop = loop
        self._on_lost = on_lost
        self._polled = False
        self._reading_paused = False
        self._transport: asyncio.Transport
        self._held = False
        self._goes_on = False
        self._rests = False
        self._lost: TransportLost | None = None
        self._undelivered: list[Event] = []
        self._unread = b""

    def attach(self, transport: asyncio.Transport, *, polled: bool = False) -> None:
        """Speak over ``transport`` from here on. ``polled``: it does not tell when it is full or has drained.

        A connection that has ended meanwhile takes the socket with it.
        """
        self._transport = transport
        self._polled = polled
        if not self._connection.alive:
            self.abort()
            return
        limit_unsent(transport, HIGH_WATER_BYTES)
        self._connection.deliver_control(Attached(self))
        self.outlet.flusher.flush_now(self.outlet)  # leaves in one packet with the answer to the handshake

    def read(self) -> None:
        """Begin to read: until now the handshake has kept the socket from it."""
        self._reading_paused = True
        self._adjust_reading()

    # What the socket says

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (never more than a slice)
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes == READ_SLICE_BYTES:
            self._rests = True  # there is more: uvloop would go on reading, up to 32 times, before anybody else's turn
            self.data_received(bytes(_BUFFER))
            self._go_on_soon()
            self._adjust_reading()
        else:
            self.data_received(bytes(_BUFFER[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._undelivered or self._unread:
            self._unread += data
        elif self._held or len(data) > READ_SLICE_BYTES:
            self._read(data)
        elif events := self._decoder.feed(data):
            self.heard_at = self._loop.time()
            self._deliver(events)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.outlet.flusher.resume(self.outlet)

    def eof_received(self) -> bool:
        """A half-closed WebSocket is of no use (RFC 6455 §7.1.7): let the transport close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Idempotent. What was read before the end is heard before it."""
        if self._lost is not None:
            return
        self._lost = TransportLost("connection lost" if exc is not None else "closed by the peer")
        self._held = False
        self.outlet.lost()
        if self._undelivered or self._unread:
            self._go_on_soon()
        else:
            self._end()

    # What the flusher and the connection ask for

    def write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._polled:
            self.paused = self._transport.get_write_buffer_size() > HIGH_WATER_BYTES

    def progress(self) -> tuple[int, int]:
        size_bytes = self._transport.get_write_buffer_size()
        if self._polled and self.paused and size_bytes <= HIGH_WATER_BYTES // 4:
            self.resume_writing()
        return size_bytes, taken_by_peer(self._transport)

    def pause_reading(self) -> None:
        self._held = self._lost is None
        self._adjust_reading()

    def resume_reading(self) -> None:
        if self._held:
            self._held = False
            if self._rests or self._undelivered or self._unread:
                self._go_on_soon()
            self._adjust_reading()

    def limit_message_bytes(self, max_message_bytes: int) -> None:
        self._decoder.limit(max_message_bytes)

    def ping(self) -> None:
        self.write(_PING)

    def end(self, code: int | None, reason: str) -> None:
        self.write(close_frame(code, reason))

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        """Drop the socket with a reset: a peer that reads nothing would keep it in FIN-WAIT-1 for minutes.

        ``connection_lost`` follows, whatever state the socket is in.
        """
        try:
            reset(self._transport)
        except Exception as error:
            _log.warning("a socket could not be closed", extra={"error": str(error)})
            self._loop.call_soon(self.connection_lost, error)

    def _end(self) -> None:
        assert self._lost is not None
        self._connection.tell_control(self._lost)
        self._on_lost(self)

    def _read(self, data: bytes) -> None:
        """Decode and deliver one slice; the rest has its turn later."""
        if not self._held:
            piece, data = data[:READ_SLICE_BYTES], data[READ_SLICE_BYTES:]
            events = self._decoder.feed(piece)
            if events:
                self.heard_at = self._loop.time()
                self._deliver(events)
        if data and self._connection.alive:
            self._unread = data
            self._go_on_soon()
            self._adjust_reading()

    def _deliver(self, events: list[Event]) -> None:
        """Those that the connection does not take wait for their turn."""
        taken = self._connection.deliver(events)
        if taken == len(events):
            return
        if self._connection.alive:
            self._undelivered = events[taken:]
            self._go_on_soon()
            self._adjust_reading()

    def _go_on_soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """One more turn: of what waits here when something does, of the socket otherwise."""
        self._goes_on = False
        if self._held:
            return
        if not self._connection.alive:
            self._undelivered, self._unread = [], b""
            if self._lost is None:
                return  # nobody listens any more; the flusher or the sweeper ends the socket
        elif self._connection.pending:
            self._go_on_soon()
            return
        elif self._undelivered:
            events, self._undelivered = self._undelivered, []
            self._deliver(events)
        elif self._unread:
            data, self._unread = self._unread, b""
            self._read(data)
        if self._undelivered or self._unread:
            self._go_on_soon()
        elif self._lost is not None:
            self._end()
        else:
            self._rests = False
            self._adjust_reading()

    def _adjust_reading(self) -> None:
        """Read from the socket while nothing waits here and the connection wants more."""
        paused = self._held or self._rests or bool(self._undelivered or self._unread)
        if paused is not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
