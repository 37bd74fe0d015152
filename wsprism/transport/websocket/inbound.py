"""What one socket says, on its way to its connection: in slices, no faster than it is taken, in its order to the end.

It is the reading half of a ``Link``, and stands apart because it runs for every read: nothing else of a link does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.protocol.websocket import Event, FrameDecoder

__all__ = ["READ_SLICE_BYTES", "Inbound", "get_buffer"]

READ_SLICE_BYTES: Final = 16 * 1024
"""What is read and decoded at once. Whoever sends more takes turns with everybody else; the kernel keeps the rest."""

_BUFFER: Final = memoryview(bytearray(READ_SLICE_BYTES))
"""What every socket is read into: both event loops fill it and call ``buffer_updated`` in the same step."""


_BEGINNINGS: Final = tuple(_BUFFER[:size] for size in range(512))
"""Of the buffer: what is read is mostly as short, and a slice takes longer to make than to copy."""


def get_buffer(sizehint: int) -> memoryview:  # noqa: ARG001 (never more than a slice)
    """Where a loop puts what it reads next, whatever socket it reads."""
    return _BUFFER


class Inbound:
    """``heard_at`` is when the last whole message or control frame came. ``on_end`` is called once at the end."""

    __slots__ = (
        "_connection",
        "_decoder",
        "_goes_on",
        "_held",
        "_last",
        "_loop",
        "_on_end",
        "_reading_paused",
        "_rests",
        "_transport",
        "_undelivered",
        "_unread",
        "heard_at",
    )

    def __init__(
        self,
        connection: ActorRef,
        decoder: FrameDecoder,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[], object],
    ) -> None:
        self.heard_at: float = loop.time()
        self._connection = connection
        self._decoder = decoder
        self._loop = loop
        self._on_end: Callable[[], object] | None = on_end
        self._reading_paused = False
        self._transport: asyncio.Transport
        self._held = False
        self._goes_on = False
        self._rests = False
        self._last: Any = None
        self._undelivered: list[Event] = []
        self._unread = b""

    def attach(self, transport: asyncio.Transport) -> None:
        """This is the socket that it will ``read``."""
        self._transport = transport

    def read(self) -> None:
        """Begin to read: until now the handshake has kept the socket from it."""
        self._reading_paused = True
        self._adjust_reading()

    def buffer_updated(self, nbytes: int) -> None:
        """So much stands in the buffer."""
        if nbytes < len(_BEGINNINGS):
            self.take(_BEGINNINGS[nbytes].tobytes())
        elif nbytes < READ_SLICE_BYTES:
            self.take(_BUFFER[:nbytes].tobytes())
        else:
            self._rests = True  # there is more: uvloop would go on reading, up to 32 times, before anybody else's turn
            self.take(_BUFFER.tobytes())
            self._go_on_soon()
            self._adjust_reading()

    def take(self, data: bytes) -> None:
        """Hear ``data``, now or behind what waits."""
        if self._undelivered or self._unread:
            self._unread += data
        elif self._held or len(data) > READ_SLICE_BYTES:
            self._read(data)
        elif events := self._decoder.feed(data):
            self.heard_at = self._loop.time()
            self._deliver(events)

    def hold(self) -> None:
        """Nothing more is wanted for now."""
        self._held = self._last is None
        self._adjust_reading()

    def let_go(self) -> None:
        """More is wanted again."""
        if self._held:
            self._held = False
            if self._rests or self._undelivered or self._unread:
                self._go_on_soon()
            self._adjust_reading()

    def end(self, last: object) -> None:
        """The socket has ended: its connection is told ``last`` once it has heard everything that came before."""
        self._last = last
        self._held = False
        if self._undelivered or self._unread:
            self._go_on_soon()
        else:
            self._end()

    def _end(self) -> None:
        self._connection.tell_control(self._last)
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

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
            if self._last is None:
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
        elif self._last is not None:
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
