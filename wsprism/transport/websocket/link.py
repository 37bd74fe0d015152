"""One upgraded socket: bytes in become events for its connection, ready frames go out.

It is the asyncio protocol of the socket's transport and the ``Transport`` that the flusher writes to. It decides
nothing: what an event means is the connection's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from wsprism.protocol.websocket import Event, FrameDecoder
from wsprism.realtime.messages import Attached, TransportLost
from wsprism.transport.http.sockets import reset

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.session import Session

__all__ = ["Link"]

HIGH_WATER_BYTES: Final = 32 * 1024
READ_SLICE_BYTES: Final = 16 * 1024
"""What is decoded at once: a read full of tiny frames takes its turns like everybody else."""


class Link(asyncio.Protocol):
    """Created for a session just before the upgrade, live from ``attach`` on. ``on_lost`` is called once at the end."""

    __slots__ = (
        "_connection",
        "_decoder",
        "_goes_on",
        "_held",
        "_loop",
        "_on_lost",
        "_polled",
        "_reading_paused",
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
        session: Session,
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
        self._undelivered: list[Event] = []
        self._unread = b""

    def attach(self, transport: asyncio.Transport, *, polled: bool = False) -> None:
        """Speak over ``transport`` from here on. ``polled``: it does not tell when it is full or has drained."""
        self._transport = transport
        self._polled = polled
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._connection.deliver([Attached(self)])
        self.outlet.flusher.flush_now(self.outlet)  # leaves in one packet with the answer to the handshake

    # What the socket says

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
        self._undelivered.clear()
        self._unread = b""
        self.outlet.lost()
        self._connection.deliver([TransportLost("connection lost" if exc is not None else "closed by the peer")])
        self._on_lost(self)

    # What the flusher and the connection ask for

    def write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._polled:
            self.paused = self._transport.get_write_buffer_size() > HIGH_WATER_BYTES

    def buffered_bytes(self) -> int:
        size_bytes = self._transport.get_write_buffer_size()
        if self._polled and self.paused and size_bytes <= HIGH_WATER_BYTES // 4:
            self.resume_writing()
        return size_bytes

    def pause_reading(self) -> None:
        self._held = True
        self._adjust_reading()

    def resume_reading(self) -> None:
        if self._held:
            self._held = False
            if self._undelivered or self._unread:
                self._go_on_soon()
            self._adjust_reading()

    def limit_message_bytes(self, max_message_bytes: int) -> None:
        self._decoder.limit(max_message_bytes)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        """Drop the socket with a reset: a peer that reads nothing would keep it in FIN-WAIT-1 for minutes."""
        reset(self._transport)

    def _read(self, data: bytes) -> None:
        """Decode and deliver slice by slice, as far as the connection keeps up; the rest has its turn later."""
        size = len(data)
        at = 0
        while at < size and not self._held:
            piece = data if size <= READ_SLICE_BYTES else data[at : at + READ_SLICE_BYTES]
            at += len(piece)
            events = self._decoder.feed(piece)
            if events:
                self.heard_at = self._loop.time()
                if not self._deliver(events) or self._connection.pending:
                    break
        if at < size and self._connection.alive:
            self._unread = data[at:]
            self._go_on_soon()
            self._adjust_reading()

    def _deliver(self, events: list[Event]) -> bool:
        """Whether the connection took all of them; those that it did not take wait."""
        taken = self._connection.deliver(events)
        if taken == len(events):
            return True
        if self._connection.alive:
            self._undelivered = events[taken:]
            self._go_on_soon()
            self._adjust_reading()
        else:
            self._unread = b""
        return False

    def _go_on_soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        if self._held:
            return
        events, self._undelivered = self._undelivered, []
        if (not events or self._deliver(events)) and self._unread:
            if self._connection.pending:
                self._go_on_soon()
            else:
                data, self._unread = self._unread, b""
                self._read(data)
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        """Read from the socket while nothing waits here and the connection wants more."""
        paused = self._held or bool(self._undelivered or self._unread)
        if paused is not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
