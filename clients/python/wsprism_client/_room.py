"""A room as a client sees it: joined now and after every reconnect, from where it stood."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from wsprism_client._errors import CLOSED, QUEUE_FULL, WsPrismError
from wsprism_client._events import Emitter
from wsprism_client._fields import text, whole
from wsprism_client._wire import HotFrame

if TYPE_CHECKING:
    from wsprism_client._client import Client

__all__ = ["Room"]

_EVENTS = frozenset({"message", "hot", "joined", "recovered", "lost", "presence", "left", "error"})
_MOST_BUFFERED = 10_000
"""Messages that an ``async for`` may lag behind."""


class Room:
    """Made by ``Client.room``. Attributes are for reading."""

    def __init__(self, client: Client, name: str, *, presence: bool, state: Any, since: dict[str, Any] | None) -> None:
        self.name = name
        self.state = "joining"
        self._client = client
        self._presence = presence
        self._own_state = state
        self._epoch: str | None = since["epoch"] if since else None
        self._offset: int = int(since["offset"]) if since else 0
        self._number: int | None = None
        self._joined_before = since is not None
        self._leaving: asyncio.Future[None] | None = None
        self._last_join: dict[str, Any] | None = None
        self._refusal: WsPrismError | None = None
        self._waiters: list[asyncio.Future[dict[str, Any]]] = []
        self._readers: list[_Reader] = []
        self._events = Emitter(_EVENTS, client._parts.fault)

    # For users

    async def joined(self) -> dict[str, Any]:
        """What the last join said: epoch, offset, recovered, count, number, presence. Raises WsPrismError."""
        if self.state == "joined" and self._last_join is not None:
            return self._last_join
        self._check()
        waiter: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    async def publish(self, type: str, data: Any = None, svc: str = "chat", id: str | None = None) -> int | None:
        """Publish once, whatever happens to the connection. The offset of the ack; None in a room without history."""
        self._check()
        return await self._client.publish(svc, type, data, room=self.name, id=id)

    def hot(self, service: int, opcode: int, data: bytes) -> bool:
        """Send a hot frame into this room: whether it was handed to the socket. Never queued."""
        return self._client._parts.rooms.send_hot(self, service, opcode, data)

    async def leave(self) -> None:
        """Leave, and join no more."""
        await self._client._parts.rooms.leave(self)

    async def history(
        self, *, since: dict[str, Any] | None = None, limit: int | None = None, reverse: bool = False
    ) -> dict[str, Any]:
        """What the room remembers: epoch, offset, items, more."""
        data: dict[str, Any] = {"reverse": True} if reverse else {}
        if since is not None:
            data["since"] = since
        if limit is not None:
            data["limit"] = limit
        answer = await self._client.request("room", "history", data, room=self.name)
        return dict(answer or {})

    async def set_state(self, state: Any) -> None:
        """Change what others see of this session, now and after each reconnect."""
        self._own_state = state
        await self._client.publish("room", "state", {"state": state}, room=self.name)

    def on(self, event: str, listener: Callable[[Any], object]) -> None:
        """Listen; events: docs/clients.md."""
        self._events.on(event, listener)

    def off(self, event: str, listener: Callable[[Any], object]) -> None:
        """Listen no more."""
        self._events.off(event, listener)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        reader = _Reader(self)
        if self.state in ("refused", "left"):
            reader.end(self._refusal)
            return reader
        self._readers.append(reader)
        return reader

    def _check(self) -> None:
        if self.state == "refused" and self._refusal is not None:
            raise self._refusal
        if self.state == "left":
            raise WsPrismError(CLOSED, "the room has been left")

    # For the client

    def _join_message(self, seq: int) -> dict[str, Any]:
        self.state = "joining"
        data: dict[str, Any] = {}
        if self._epoch is not None:
            data["since"] = {"epoch": self._epoch, "offset": self._offset}
        if self._presence:
            data["presence"] = True
        if self._own_state is not None:
            data["state"] = self._own_state
        message: dict[str, Any] = {"v": 1, "svc": "room", "type": "join", "flags": 1, "seq": seq, "room": self.name}
        if data:
            message["data"] = data
        return message

    def _on_joined(self, data: dict[str, Any]) -> None:
        again, self._joined_before = self._joined_before, True
        epoch, offset = text(data.get("epoch")), whole(data.get("offset"))
        recovered = data.get("recovered") is True
        if self._epoch is not None:  # what is recovered goes on from where this room stands
            recovered = recovered and epoch == self._epoch and (offset is None or offset >= self._offset)
        if not recovered or self._epoch is None:
            self._epoch, self._offset = epoch, offset or 0
        self._number = whole(data.get("number"))
        self.state = "joined"
        joined = self._last_join = {
            "epoch": epoch,
            "offset": offset,
            "recovered": recovered,
            "count": whole(data.get("count")),
            "number": self._number,
            "presence": data.get("presence"),
        }
        for waiter in self._take_waiters():
            waiter.set_result(joined)
        self._events.emit("joined", joined)
        if not again or self.state != "joined":
            return  # joined for the first time, or left by a listener
        if recovered:
            self._events.emit("recovered", {"count": joined["count"] or 0})
        else:
            self._events.emit("lost", {"epoch": epoch, "offset": offset})

    def _on_refused(self, error: WsPrismError) -> None:
        self.state = "refused"
        self._refusal = error
        for waiter in self._take_waiters():
            waiter.set_exception(error)
            waiter.exception()
        if not self._events.emit("error", error):
            self._client._parts.fault(error)
        self._end_readers(error)

    def _on_message(self, message: dict[str, Any]) -> None:
        offset = whole(message.get("offset"))
        if offset is not None:
            if self._epoch is not None and offset <= self._offset:
                return  # seen already
            self._offset = offset
        self._events.emit("message", message)
        for reader in tuple(self._readers):
            reader.put(message)

    def _on_gap(self, data: dict[str, Any]) -> None:
        epoch, offset = text(data.get("epoch")), whole(data.get("offset"))
        if epoch is not None:
            self._epoch, self._offset = epoch, offset or 0
        self._events.emit("lost", {"epoch": epoch, "offset": offset})

    def _on_hot(self, frame: HotFrame) -> None:
        self._events.emit("hot", frame)

    def _on_presence(self, data: Any) -> None:
        self._events.emit("presence", data)

    def _on_left(self, *, told: bool) -> None:
        """Out of it for good: left, removed by the gateway (``told``), or the client is closed."""
        if self.state == "left":
            return
        self.state = "left"
        self._number = None
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(None)
        for waiter in self._take_waiters():
            waiter.set_exception(WsPrismError(CLOSED, "the room has been left"))
            waiter.exception()
        if told:
            self._events.emit("left", {})
        self._end_readers(None)

    def _on_disconnected(self) -> None:
        if self.state == "joined":
            self.state = "joining"
        self._number = None

    def _end_readers(self, error: WsPrismError | None) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.end(error)

    def _take_waiters(self) -> list[asyncio.Future[dict[str, Any]]]:
        waiters, self._waiters = self._waiters, []
        return [waiter for waiter in waiters if not waiter.done()]


class _Reader:
    """One ``async for`` over a room's messages. It ends when the room is left or the client closed."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._messages: deque[dict[str, Any]] = deque()
        self._more = asyncio.Event()
        self._ended = False
        self._error: WsPrismError | None = None

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._messages:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        return self._messages.popleft()

    def put(self, message: dict[str, Any]) -> None:
        """One more; who lags too far behind is told so."""
        if len(self._messages) >= _MOST_BUFFERED:
            self._room._readers.remove(self)
            self.end(WsPrismError(QUEUE_FULL, "the reader of this room is too far behind"))
            return
        self._messages.append(message)
        self._more.set()

    def end(self, error: WsPrismError | None) -> None:
        """Nothing comes any more."""
        self._ended, self._error = True, error
        self._more.set()


def new_id() -> str:
    """An id for a publication that has none."""
    return secrets.token_hex(12)
