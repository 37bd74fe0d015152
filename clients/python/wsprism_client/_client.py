"""What an application sees: a client, put together from its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from wsprism_client._errors import WsPrismError
from wsprism_client._fields import whole
from wsprism_client._options import Options, Ticket
from wsprism_client._parts import Parts
from wsprism_client._room import Room, new_id
from wsprism_client._socket import TicketFailed, ask_ticket
from wsprism_client._wire import ACK_REQUESTED, SEQ_PRESENT

__all__ = ["Client"]


class Client:
    """See docs/clients.md. Nothing happens before ``connect``, ``room``, ``publish`` or ``request`` is called."""

    def __init__(
        self,
        url: str,
        *,
        tenant: str,
        ticket: Ticket,
        sid: str | None = None,
        format: str = "json",
        ping_interval_s: float = 25.0,
        pong_timeout_s: float = 10.0,
        connect_timeout_s: float = 10.0,
        backoff_base_s: float = 0.5,
        backoff_cap_s: float = 30.0,
        backoff_reset_s: float = 10.0,
        queue_messages: int = 1000,
        queue_bytes: int = 1_048_576,
        request_timeout_s: float = 10.0,
    ) -> None:
        self._options = options = Options(
            tenant,
            ticket,
            sid,
            format,
            ping_interval_s,
            pong_timeout_s,
            connect_timeout_s,
            backoff_base_s,
            backoff_cap_s,
            backoff_reset_s,
            queue_messages,
            queue_bytes,
            request_timeout_s,
        )
        self._parts = Parts(url, options, self.refresh)

    @property
    def state(self) -> str:
        """idle, connecting, open, waiting or closed."""
        return self._parts.life.state

    @property
    def next_attempt_at(self) -> float | None:
        """While waiting: when it tries again, as ``time.time()``."""
        return self._parts.life.next_attempt_at

    @property
    def reason(self) -> dict[str, Any] | None:
        """Why it is closed: code and reason."""
        return self._parts.life.reason

    @property
    def session(self) -> dict[str, Any] | None:
        """What ``authed`` said: tenant, user, sid, expires_at, data."""
        return self._parts.life.session

    @property
    def round_trip_s(self) -> float | None:
        """Of the last ping."""
        return self._parts.watch.round_trip_s

    @property
    def dropped_hot(self) -> int:
        """Hot frames that were dropped before sending."""
        return self._parts.rooms.dropped_hot

    async def connect(self) -> None:
        """Start, and return when it is open for the first time. Raises WsPrismError when it is closed for good."""
        await asyncio.shield(self._parts.start())

    async def close(self) -> None:
        """Close with 1000; everything that waits ends with CLOSED. Idempotent."""
        await self._parts.life.close()

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def room(
        self, name: str, *, presence: bool = False, state: Any = None, since: dict[str, Any] | None = None
    ) -> Room:
        """The room of this name: the same object until it is left."""
        known = self._parts.rooms.get(name)
        if known is not None and known._leaving is None:
            return known
        self._parts.start()
        room = Room(self, name, presence=presence, state=state, since=since)
        self._parts.rooms.add(room)
        return room

    async def publish(
        self, svc: str, type: str, data: Any = None, room: str | None = None, id: str | None = None
    ) -> int | None:
        """Any ext message, acknowledged; sent again with the same id until it is. The ack's offset, or None."""
        self._parts.start()
        message = {**_message(svc, type, data, room), "flags": ACK_REQUESTED | SEQ_PRESENT, "id": id or new_id()}
        ack = await self._parts.calls.make(message, again=True).answer
        return whole(ack.get("offset")) if isinstance(ack, dict) else None

    async def request(
        self, svc: str, type: str, data: Any = None, room: str | None = None, timeout_s: float | None = None
    ) -> Any:
        """The data of the first message that repeats its seq. Not sent again: DISCONNECTED when the connection goes."""
        self._parts.start()
        call = self._parts.calls.make({**_message(svc, type, data, room), "flags": SEQ_PRESENT}, again=False)
        return await self._parts.calls.answered(call, timeout_s or self._options.request_timeout_s)

    async def refresh(self) -> None:
        """Ask the ticket function, and live on with the new ticket. Raises WsPrismError when it is refused."""
        try:
            ticket = await ask_ticket(self._options)
        except TicketFailed as error:
            raise WsPrismError("AUTH_FAILED", f"no new ticket: {error}") from error
        await self.request("sys", "refresh", {"ticket": ticket})

    def on(self, event: str, listener: Callable[[Any], object]) -> None:
        """Listen; events: docs/clients.md."""
        self._parts.events.on(event, listener)

    def off(self, event: str, listener: Callable[[Any], object]) -> None:
        """Listen no more."""
        self._parts.events.off(event, listener)


def _message(svc: str, type: str, data: Any, room: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"v": 1, "svc": svc, "type": type}
    if room is not None:
        message["room"] = room
    if data is not None:
        message["data"] = data
    return message
