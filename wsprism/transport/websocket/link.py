"""One upgraded socket: bytes in become events for its connection, ready frames go out.

It is the asyncio protocol of the socket's transport and the ``Transport`` that the flusher writes to. It decides
nothing: what an event means is the connection's business. What comes in is its ``Inbound``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from wsprism.protocol.frames import close_frame, ping_frame
from wsprism.realtime.messages import Attached, TransportLost
from wsprism.transport.http.sockets import limit_unsent, reset, taken_by_peer
from wsprism.transport.websocket.inbound import Inbound, get_buffer

if TYPE_CHECKING:
    from wsprism.protocol.websocket import FrameDecoder
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.outbound.sweeper import SocketOwner

__all__ = ["Link"]

_log = logging.getLogger("wsprism.connection")

HIGH_WATER_BYTES: Final = 32 * 1024

_PING: Final = ping_frame()


class Link(asyncio.BufferedProtocol):
    """Created for a session just before the upgrade, live from ``attach`` on. ``on_lost`` is called once at the end."""

    __slots__ = (
        "_decoder",
        "_inbound",
        "_loop",
        "_lost",
        "_on_lost",
        "_polled",
        "_transport",
        "buffer_updated",
        "get_buffer",
        "outlet",
        "paused",
        "pinged_at",
        "session",
        "write",
    )

    get_buffer: Callable[[int], memoryview]  # type: ignore[assignment]  # a loop asks for these two once
    buffer_updated: Callable[[int], None]  # type: ignore[assignment]
    write: Callable[[bytes], None]

    def __init__(
        self,
        session: SocketOwner,
        decoder: FrameDecoder,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[Link], None],
    ) -> None:
        self.session = session
        self.outlet: Outlet = session.outlet
        self.paused = False
        self._inbound = Inbound(session.connection, decoder, loop, self._end)
        self.get_buffer, self.buffer_updated = get_buffer, self._inbound.buffer_updated
        self.pinged_at = self._inbound.heard_at
        self._decoder = decoder
        self._loop = loop
        self._on_lost = on_lost
        self._polled = False
        self._transport: asyncio.Transport
        self._lost = False

    def attach(self, transport: asyncio.Transport, *, polled: bool = False) -> None:
        """Speak over ``transport`` from here on. ``polled``: it does not tell when it is full or has drained.

        A connection that has ended meanwhile takes the socket with it.
        """
        self._transport = transport
        self._inbound.attach(transport)
        self._polled = polled
        self.write = self._write_and_look if polled else transport.write
        if not self.session.connection.alive:
            self.abort()
            return
        limit_unsent(transport, HIGH_WATER_BYTES)
        self.session.connection.deliver_control(Attached(self))
        self.outlet.flusher.flush_now(self.outlet)  # leaves in one packet with the answer to the handshake

    def read(self) -> None:
        """Begin to read: until now the handshake has kept the socket from it."""
        self._inbound.read()

    @property
    def heard_at(self) -> float:
        """When the last whole message or control frame came."""
        return self._inbound.heard_at

    # What the socket says

    def data_received(self, data: bytes) -> None:
        """What came behind the request, and all that comes where the loop does not read into a buffer."""
        self._inbound.take(data)

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
        if self._lost:
            return
        self._lost = True
        self.outlet.lost()
        self._inbound.end(TransportLost("connection lost" if exc is not None else "closed by the peer"))

    # What the flusher and the connection ask for

    def progress(self) -> tuple[int, int]:
        size_bytes = self._transport.get_write_buffer_size()
        if self._polled and self.paused and size_bytes <= HIGH_WATER_BYTES // 4:
            self.resume_writing()
        return size_bytes, taken_by_peer(self._transport)

    def pause_reading(self) -> None:
        self._inbound.hold()

    def resume_reading(self) -> None:
        self._inbound.let_go()

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
        self._on_lost(self)

    def _write_and_look(self, data: bytes) -> None:
        self._transport.write(data)
        self.paused = self._transport.get_write_buffer_size() > HIGH_WATER_BYTES
