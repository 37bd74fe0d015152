"""One user's identity on one connection, and what each actor needs of it.

The tenant creates it, owns its place in the registry and its rooms; the connection and the rooms only read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.ports import Principal
    from wsprism.protocol.traces import ConnectionTrace
    from wsprism.realtime.outbound.outlet import Outlet

__all__ = ["Session"]


class Session:
    """``sid`` is unique within its user only; two objects are never the same session, whatever their sid.

    ``rooms`` are those that it is in, in the order of joining. ``active_room``
    is the one joined last, where goes what names no room; the connection writes it.
    ``origin`` and ``user_agent`` are the handshake's: a refresh is judged with them as the handshake was.
    ``trace`` is there when the connection is sampled.
    """

    __slots__ = (
        "active_room",
        "connection",
        "opened_at",
        "origin",
        "outlet",
        "principal",
        "remote_address",
        "rooms",
        "sid",
        "trace",
        "trace_id",
        "user",
        "user_agent",
    )

    def __init__(
        self,
        principal: Principal,
        sid: str,
        outlet: Outlet,
        *,
        trace_id: str,
        remote_address: str,
        opened_at: float,
        origin: str | None = None,
        user_agent: str | None = None,
        trace: ConnectionTrace | None = None,
    ) -> None:
        self.principal = principal
        self.user = principal.user
        self.sid = sid
        self.outlet = outlet
        self.trace_id = trace_id
        self.remote_address = remote_address
        self.opened_at = opened_at
        self.origin = origin
        self.user_agent = user_agent
        self.trace = trace
        self.rooms: dict[str, None] = {}
        self.active_room: str | None = None
        self.connection: ActorRef
