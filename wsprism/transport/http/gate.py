"""In front of aiohttp: a socket waits here until the whole head of its request has come.

A silent or trickling client costs one small object: no parser, no task, no timer of its own. It has
``timeout_s`` for everything up to the head's last byte, single bytes do not extend that; heads are bounded in all; of
too many half-open sockets the oldest is closed. It knows no routes; what is whole goes to ``pass_on``'s protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol, cast

from actors import Cancellable, Scheduler
from wsprism.protocol.codes import ErrorCode
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.http.refusals import Refusals
from wsprism.transport.http.sockets import reset, tune

__all__ = ["NO_DESCRIPTOR", "Gate", "HalfOpen", "HttpLimits"]

_END_OF_HEAD: Final = b"\r\n\r\n"
_UPGRADE: Final = re.compile(rb"\r\nupgrade:[ \t]*websocket", re.IGNORECASE)
READ_BYTES: Final = 16 * 1024
LINGER_S: Final = 0.1
"""To close a socket that has more to say resets it, and the answer may be lost: so long it is read, and dropped."""

_BUFFER: Final = memoryview(bytearray(READ_BYTES))
"""What every gate is read into: a loop fills it and calls ``buffer_updated`` in the same step."""

SPOKEN_WITHIN_S: Final = 0.05
"""When descriptors are scarce: so long after its accept a socket may take to say something."""

_METHOD_CHARACTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")

_NOT_HTTP: Final = Refusal(400, ErrorCode.BAD_REQUEST, "Bad Request", "not_http")
_TOO_LARGE: Final = Refusal(431, ErrorCode.PAYLOAD_TOO_LARGE, "Request Header Fields Too Large", "header_too_large")
_TIMEOUT: Final = Refusal(408, ErrorCode.TIMEOUT, "Request Timeout", "handshake_timeout")
_TOO_MANY: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "Service Unavailable", "half_open_full")
NO_DESCRIPTOR: Final = Refusal(
    503, ErrorCode.RESOURCE_EXHAUSTED, "Service Unavailable", "out_of_descriptors", {"Retry-After": "1"}
)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds before the upgrade: time for a head, sockets without one, bytes of one."""

    timeout_s: float
    max_half_open: int
    max_header_bytes: int


class ConnectionFactory(Protocol):
    """Makes the protocol that a socket with a whole head is given to."""

    def __call__(self) -> asyncio.Protocol: ...


class HalfOpen:
    """The sockets of one listener that have not sent a whole head, oldest first, and the one timer they share.

    On a descriptor from ``first_reserved`` on a request is answered, but none becomes a connection.
    """

    def __init__(self, limits: HttpLimits, refusals: Refusals, scheduler: Scheduler, first_reserved: int) -> None:
        self.limits = limits
        self.first_reserved = first_reserved
        self._refusals = refusals
        self.scheduler = scheduler
        self._gates: dict[Gate, float] = {}
        self._timer: Cancellable | None = None

    def __len__(self) -> int:
        return len(self._gates)

    def add(self, gate: Gate) -> None:
        """From now on its deadline runs. The oldest gives way when there are too many."""
        if len(self._gates) >= self.limits.max_half_open:
            self._end(next(iter(self._gates)), _TOO_MANY)
        elif gate.descriptor >= self.first_reserved:
            self.make_room()
        self._gates[gate] = self.scheduler.now() + self.limits.timeout_s
        if self._timer is None:
            self._timer = self.scheduler.call_later(self.limits.timeout_s, self._sweep)

    def make_room(self) -> None:
        """Descriptors are scarce: the oldest quarter gives way, but for those that may have a request on its way in."""
        before = self.scheduler.now() + self.limits.timeout_s - SPOKEN_WITHIN_S
        for oldest in list(islice(self._gates, (len(self._gates) + 3) // 4)):
            if self._gates[oldest] > before:
                return
            if not oldest.has_unread:
                self._end(oldest, NO_DESCRIPTOR)

    def turned_away(self, address: object) -> None:
        """Count somebody who was told that there is no descriptor, and had no gate."""
        self._refusals.note(NO_DESCRIPTOR.reason, _address(address))

    def discard(self, gate: Gate) -> None:
        """It is through, or gone; idempotent."""
        self._gates.pop(gate, None)

    def refuse(self, gate: Gate, refusal: Refusal) -> None:
        """Count a gate's refusal of its client, once."""
        if self._gates.pop(gate, None) is not None:
            self._refusals.note(refusal.reason, gate.remote)

    def close(self) -> None:
        """Drop all that are left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for gate in list(self._gates):
            self.discard(gate)
            gate.drop()

    def _end(self, gate: Gate, refusal: Refusal) -> None:
        self.refuse(gate, refusal)
        gate.end(refusal)

    def _sweep(self) -> None:
        """They all have the same time, so the oldest is the first whose time is over."""
        self._timer = None
        now = self.scheduler.now()
        while self._gates:
            gate, deadline = next(iter(self._gates.items()))
            if deadline > now:
                self._timer = self.scheduler.call_later(deadline - now, self._sweep)
                return
            self._end(gate, _TIMEOUT)


class Gate(asyncio.BufferedProtocol):
    """One socket before its head is whole. After the head of a WebSocket's request it reads no further.

    ``tuned``: it has inherited the listening socket's options."""

    __slots__ = ("_accepted", "_half_open", "_head", "_pass_on", "_refused", "_remote", "_transport", "_tuned")

    def __init__(self, half_open: HalfOpen, pass_on: ConnectionFactory, *, tuned: bool) -> None:
        self._half_open = half_open
        self._pass_on = pass_on
        self._tuned = tuned
        self._head: bytearray | None = None
        self._accepted: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._remote = ""
        self._refused = False

    def accepted(self, sock: socket.socket, address: object) -> None:
        """The time runs from here: the event loop has still to take the socket, and TLS to shake hands."""
        self._accepted = sock
        self._remote = _address(address)
        self._half_open.add(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        if not self._tuned:
            tune(transport.get_extra_info("socket"))
        if self._accepted is None:
            self._half_open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (a client may go at any time)
        self._half_open.discard(self)

    def eof_received(self) -> bool:
        """Half a request is none."""
        return False

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (never more than this)
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if not self._refused:
            self.data_received(bytes(_BUFFER[:nbytes]))

    def data_received(self, data: bytes) -> None:
        head = self._head
        if head is None:
            if data[0] not in _METHOD_CHARACTERS:
                self._refuse(_NOT_HTTP, len(data))
                return
            end = data.find(_END_OF_HEAD)
            size = len(data)
        else:
            searched = max(0, len(head) - len(_END_OF_HEAD) + 1)
            head += data
            end = head.find(_END_OF_HEAD, searched)
            size = len(head)
        if end < 0:
            size -= len(_END_OF_HEAD) - 1  # its last bytes may be the end's first
        if (end if end >= 0 else size) > self._half_open.limits.max_header_bytes:
            self._refuse(_TOO_LARGE, len(data))
        elif end >= 0:
            self._go_on(data if head is None else bytes(head))
        elif head is None:
            self._head = bytearray(data)

    @property
    def remote(self) -> str:
        """The peer's address, for a log line."""
        if self._transport is None or self._accepted is not None:
            return self._remote
        return _address(self._transport.get_extra_info("peername"))

    @property
    def descriptor(self) -> int:
        """The socket's; -1 when it has none any more."""
        sock = self._accepted or (self._transport and self._transport.get_extra_info("socket"))
        return cast(int, sock.fileno()) if sock else -1

    @property
    def has_unread(self) -> bool:
        """Whether its peer has said something that the event loop has not come to yet."""
        if self._accepted is None:
            return False
        try:
            return bool(self._accepted.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def end(self, refusal: Refusal) -> None:
        """Close: with an answer to whoever has begun a request, at once whoever has said nothing."""
        if self._transport is None or self._head is None:
            self.drop()
        else:
            self._transport.write(refusal.raw())
            self._transport.close()

    def drop(self) -> None:
        """Close at once."""
        if self._transport is not None:
            reset(self._transport)
        elif self._accepted is not None:
            with contextlib.suppress(OSError):
                self._accepted.shutdown(socket.SHUT_RDWR)

    def _refuse(self, refusal: Refusal, size: int) -> None:
        """Once: a socket that is being closed may still say something."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._half_open.refuse(self, refusal)
            self._transport.write(refusal.raw())
            if size < READ_BYTES:
                self._transport.close()
            else:
                self._refused = True
                self._half_open.scheduler.call_later(LINGER_S, self._transport.close)

    def _go_on(self, data: bytes) -> None:
        transport = self._transport
        assert transport is not None
        if transport.is_closing():
            return
        upgrades = _UPGRADE.search(data, 0, data.find(_END_OF_HEAD)) is not None
        if upgrades and self.descriptor >= self._half_open.first_reserved:
            self._refuse(NO_DESCRIPTOR, len(data))
            return
        self._half_open.discard(self)
        protocol = self._pass_on()
        transport.pause_reading()  # a loop takes over a protocol of another kind when reading begins anew
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)
        if not upgrades and not transport.is_closing():
            transport.resume_reading()  # what is behind a WebSocket's request stays in the kernel until it is answered


def _address(peer: object) -> str:
    return str(peer[0]) if isinstance(peer, tuple) else "unix"
