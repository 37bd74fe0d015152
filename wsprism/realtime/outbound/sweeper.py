"""One sweep a second over all connections: pings, idle and silent peers, expired tickets, sockets that nobody owns.

No timer per connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import CloseConnection

if TYPE_CHECKING:
    from actors import ActorRef, Cancellable, Scheduler
    from wsprism.realtime.outbound.outlet import Outlet

__all__ = ["SocketOwner", "Sweepable", "Sweeper"]

SWEEP_INTERVAL_S: Final = 1.0


class SocketOwner(Protocol):
    """Whose socket it is: a client's session, or a backend's stream."""

    @property
    def connection(self) -> ActorRef:
        """The actor that hears what the socket says."""
        ...

    @property
    def outlet(self) -> Outlet:
        """Its way out."""
        ...

    @property
    def expires_at(self) -> float | None:
        """Unix time when it has to end; None: never."""
        ...


class Sweepable(Protocol):
    """What the sweep needs of a live socket."""

    outlet: Outlet

    @property
    def session(self) -> SocketOwner: ...

    pinged_at: float

    @property
    def heard_at(self) -> float:
        """When the last whole message or pong came; single bytes do not count."""
        ...

    def abort(self) -> None:
        """Drop the socket at once."""
        ...


class Sweeper:
    """``sockets`` gives the live ones at each sweep; ``wall_clock`` is Unix time in seconds.

    ``also`` is called with each sweep: what else grows old.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        sockets: Callable[[], Iterable[Sweepable]],
        wall_clock: Callable[[], float],
        *,
        ping_interval_s: float,
        idle_timeout_s: float,
        also: Callable[[], object] = lambda: None,
    ) -> None:
        self._also = also
        self._scheduler = scheduler
        self._sockets = sockets
        self._wall_clock = wall_clock
        self._timer: Cancellable | None = None
        self.configure(ping_interval_s, idle_timeout_s)

    def configure(self, ping_interval_s: float, idle_timeout_s: float) -> None:
        """Take new intervals from the next sweep on."""
        self._ping_interval_s = ping_interval_s
        self._idle_timeout_s = idle_timeout_s

    def start(self) -> None:
        """Sweep every second from now on."""
        self._timer = self._scheduler.call_later(SWEEP_INTERVAL_S, self._tick)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self.start()
        self.sweep()
        self._also()

    def sweep(self) -> None:
        """Look at every socket once."""
        now = self._scheduler.now()
        unix_now = self._wall_clock()
        idle_before = now - self._idle_timeout_s
        ping_before = now - self._ping_interval_s
        for socket in list(self._sockets()):
            if not socket.session.connection.alive and not socket.outlet.is_being_closed:
                socket.abort()  # nobody else is left who would
                continue
            if socket.heard_at <= idle_before:
                self._end(socket, CloseConnection(CloseCode.IDLE, "idle"))
                continue
            expires_at = socket.session.expires_at
            if expires_at is not None and expires_at <= unix_now:
                self._end(socket, CloseConnection(CloseCode.TICKET_EXPIRED, "ticket expired"))
            elif socket.pinged_at <= ping_before:
                socket.pinged_at = now
                socket.outlet.ping()

    @staticmethod
    def _end(socket: Sweepable, message: CloseConnection) -> None:
        socket.session.connection.tell_control(message)
