"""The sending side of one connection: its outbound queue, its transport and how it is being closed.

Rooms and services offer frames here; only the flusher takes them out. It never waits and never writes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from qos import Frame, Lane, OutboundQueue, Verdict
from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import CloseConnection

if TYPE_CHECKING:
    from actors import ActorRef
    from qos import Block, QueueLimits
    from wsprism.ports import Transport
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.outbound.wire import WireFormat

__all__ = ["Closing", "Outlet", "Source"]


class Closing(Enum):
    """How far a connection's end has come."""

    NO = auto()
    FLUSHING = auto()
    """Nothing new is taken; what is queued goes out, then the Close."""
    CLOSE_SENT = auto()
    """The Close is with the transport; the peer's own is awaited until the deadline."""
    DONE = auto()
    """The transport is closed or lost."""


class Source(Protocol):
    """Something long that is sent as fast as the socket takes it, and stands in no queue."""

    def refill(self, outlet: Outlet) -> bool:
        """Offer the next of it to the queue, which is empty. False: that was all."""
        ...


class Outlet:
    """One connection's way out. A queue that would overflow closes the connection as a slow consumer."""

    __slots__ = (
        "blocked",
        "close_code",
        "close_reason",
        "closing",
        "connection",
        "deadline",
        "flusher",
        "format",
        "hot_due",
        "hot_flush_s",
        "linger",
        "peer_has_closed",
        "ping_due",
        "progress",
        "progress_at",
        "queue",
        "sources",
        "surplus",
        "thirsty",
        "transport",
    )

    def __init__(self, queue: OutboundQueue, flusher: Flusher, wire: WireFormat, hot_flush_s: float = 0.0) -> None:
        self.queue = queue
        self.flusher = flusher
        self.format = wire
        self.hot_flush_s = hot_flush_s
        self.hot_due = False
        self.connection: ActorRef
        self.transport: Transport | None = None
        self.closing = Closing.NO
        self.close_code: int | None = None
        self.close_reason = ""
        self.ping_due = False
        self.deadline = 0.0
        self.linger = True
        self.surplus = False
        self.peer_has_closed = False
        self.blocked = False
        self.sources: list[Source] | None = None
        self.thirsty = False
        self.progress_at = 0.0
        self.progress: object = None

    @property
    def is_being_closed(self) -> bool:
        """Whether its transport's end is under way, with a deadline."""
        return self.closing is not Closing.NO and self.transport is not None

    def attach(self, transport: Transport) -> None:
        """From here on the flusher may write. What was queued before leaves first, then a Close that came before."""
        self.transport = transport
        if self.closing is Closing.FLUSHING:
            self.flusher.begin_close(self)
        elif not self.queue.empty:
            self.flusher.mark(self)

    def configure(self, limits: QueueLimits, hot_flush_s: float) -> None:
        """Take other bounds and another hot tick; what waits for the old tick leaves now."""
        self.queue.configure(limits, hold_hot=hot_flush_s > 0)
        if hot_flush_s != self.hot_flush_s:
            self.hot_flush_s = hot_flush_s
            if not self.queue.empty:
                self.hot_due = True
                self.flusher.mark(self)

    def send(self, message: Mapping[str, Any], lane: Lane = Lane.RELIABLE) -> None:
        """Queue an ext message for this connection alone."""
        self.offer(Frame(self.format.encode(message), lane, None))

    def offer(self, frame: Frame) -> None:
        """Queue one ready frame."""
        verdict = self.queue.offer(frame)
        if verdict is not Verdict.QUEUED:
            self.settle(verdict)

    def offer_block(self, block: Block) -> None:
        """Queue one turn's frames of a room."""
        verdict = self.queue.offer_block(block)
        if verdict is not Verdict.QUEUED:
            self.settle(verdict)

    def feed_from(self, source: Source) -> None:
        """Send all of ``source`` whenever the queue has nothing else; one after the other."""
        if self.closing is not Closing.NO:
            return
        if self.sources is None:
            self.sources = []
        self.sources.append(source)
        if self.queue.empty:
            self.flusher.thirst(self)

    def refill(self) -> None:
        """Have the queue, if it is empty, offered more by the first of ``sources``."""
        if not self.sources or not self.queue.empty:
            return
        if not self.sources[0].refill(self) and self.sources:
            del self.sources[0]
            if self.queue.empty:
                self.refill()

    def settle(self, verdict: Verdict) -> None:
        """Do what a verdict other than QUEUED asks for."""
        if verdict is Verdict.WAKE:
            self.flusher.mark(self)
        elif verdict is Verdict.OVERFLOW:
            self.give_up("slow consumer")

    def give_up(self, reason: str) -> None:
        """This reader does not keep up: have its connection closed 4000 and what is queued discarded."""
        self.connection.tell_control(CloseConnection(CloseCode.SLOW_CONSUMER, reason, discard=True))

    def pong(self, payload: bytes) -> None:
        """Queue the answer to the peer's own ping."""
        self.offer(Frame(self.format.pong(payload), Lane.CONTROL, None))

    def ping(self) -> None:
        """Ask the peer for a sign of life with the next write, in no class of the queue."""
        self.ping_due = True
        if self.queue.empty:
            self.flusher.mark(self)

    def close(
        self, code: int | None, reason: str, *, discard: bool, linger: bool = True, surplus: bool = False
    ) -> None:
        """End with a Close: after what is queued (control, then reliable), or at once when ``discard``.

        With ``linger`` the peer's own Close, or its end of the socket, is awaited for the flusher's stall timeout.
        ``surplus``: its session is counted no more, so that its socket may not stay long. Idempotent.
        """
        if self.closing is not Closing.NO:
            return
        self.surplus = surplus
        self.sources = None
        self.closing = Closing.FLUSHING
        self.close_code, self.close_reason = code, reason
        self.linger = linger
        if discard:
            self.queue.close()
        else:
            self.queue.seal()
        self.flusher.begin_close(self)

    def peer_closed(self) -> None:
        """The peer's Close is here: once ours has been sent too, the transport can be closed (RFC 6455 §7.1.1)."""
        self.peer_has_closed = True
        if self.closing is Closing.CLOSE_SENT and self.transport is not None:
            self.transport.close()

    def lost(self) -> None:
        """The transport is gone: nothing more can leave. Idempotent."""
        self.closing = Closing.DONE
        self.transport = None
        self.sources = None
        self.queue.close()
        self.flusher.forget(self)
