"""The client: one connection at a time, come back to whenever it is lost, with its rooms and what waits for an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from wsprism_client._calls import Call, Calls
from wsprism_client._codes import Verdict, backoff_s
from wsprism_client._errors import CLOSED, DISCONNECTED, TIMEOUT, WsPrismError
from wsprism_client._events import Emitter
from wsprism_client._options import Options, Ticket
from wsprism_client._room import Room, new_id
from wsprism_client._socket import End, Socket, TicketFailed, ask_ticket
from wsprism_client._wire import ACK_REQUESTED, Codec, HotFrame, encode_hot

__all__ = ["Client"]

_SEQ_PRESENT = 1
_MAX_REFRESH_LEAD_S = 30.0
_EVENTS = frozenset({"state", "message", "hot", "error", "draining"})


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
        self._options = Options(
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
        self._url = url
        self._codec = Codec(format)
        self.state = "idle"
        self.next_attempt_at: float | None = None
        self.reason: dict[str, Any] | None = None
        self.session: dict[str, Any] | None = None
        self.round_trip_s: float | None = None
        self.dropped_hot = 0
        self._events = Emitter(_EVENTS)
        self._rooms: dict[str, Room] = {}
        self._calls = Calls(queue_messages, queue_bytes)
        self._seq = 0
        self._joins: dict[int, Room] = {}
        self._leaves: dict[int, Room] = {}
        self._pings: dict[int, float] = {}
        self._refreshed_for: float | None = None
        self._socket: Socket | None = None
        self._heard_at = 0.0
        self._opened_at: float | None = None
        self._authed: asyncio.Event | None = None
        self._come_back_at: float | None = None
        self._refused_for_s: float | None = None
        self._first_open: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    # For users

    async def connect(self) -> None:
        """Start, and return when it is open for the first time. Raises WsPrismError when it is closed for good."""
        self._start()
        assert self._first_open is not None
        await asyncio.shield(self._first_open)

    async def close(self) -> None:
        """Close with 1000; everything that waits ends with CLOSED. Idempotent."""
        self._closing = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._socket is not None:
            socket, self._socket = self._socket, None
            await socket.close()
        if self.state != "closed":
            self._closed({"code": 1000, "reason": "closed by the client"})

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def room(
        self, name: str, *, presence: bool = False, state: Any = None, since: dict[str, Any] | None = None
    ) -> Room:
        """The room of this name: the same object until it is left."""
        known = self._rooms.get(name)
        if known is not None:
            return known
        if self.state == "closed":
            raise WsPrismError(CLOSED, "the client is closed")
        room = self._rooms[name] = Room(self, name, presence=presence, state=state, since=since)
        self._start()
        if self.state == "open":
            self._join(room)
        return room

    async def publish(
        self, svc: str, type: str, data: Any = None, room: str | None = None, id: str | None = None
    ) -> int | None:
        """Any ext message, acknowledged; sent again with the same id until it is. The ack's offset, or None."""
        answer = await self._acknowledged(svc, type, data, room=room, id=id or new_id())
        return (answer or {}).get("offset") if isinstance(answer, dict) else None

    async def request(
        self, svc: str, type: str, data: Any = None, room: str | None = None, timeout_s: float | None = None
    ) -> Any:
        """The data of the first message that repeats its seq. Not sent again: DISCONNECTED when the connection goes."""
        message = _message(svc, type, data, room)
        message["flags"] = _SEQ_PRESENT
        call = self._call(message, again=False, room=None)
        return await self._answer(call, timeout_s or self._options.request_timeout_s)

    async def refresh(self) -> None:
        """Ask the ticket function, and live on with the new ticket. Raises WsPrismError when it is refused."""
        try:
            ticket = await ask_ticket(self._options)
        except TicketFailed as error:
            raise WsPrismError("AUTH_FAILED", f"no new ticket: {error}") from error
        await self.request("sys", "refresh", {"ticket": ticket})

    def on(self, event: str, listener: Callable[[Any], object]) -> None:
        """Listen; events: docs/clients.md."""
        self._events.on(event, listener)

    def off(self, event: str, listener: Callable[[Any], object]) -> None:
        """Listen no more."""
        self._events.off(event, listener)

    # Life

    def _start(self) -> None:
        if self.state == "closed" or self._closing:
            raise WsPrismError(CLOSED, "the client is closed")
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._first_open = loop.create_future()
            self._first_open.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        failures = 0
        asked_again = False
        while True:
            self._move("connecting")
            self._opened_at = None
            end = await self._attempt()
            if self._opened_at is not None:
                asked_again = False
                if time.monotonic() - self._opened_at >= self._options.backoff_reset_s:
                    failures = 0
            if end.verdict is Verdict.NEW_TICKET:
                if asked_again or isinstance(self._options.ticket, str):
                    break
                asked_again = True
            elif end.verdict is Verdict.FINAL:
                break
            await self._wait(failures, end)
            failures += 1
        self._task = None
        self._closed({"code": end.code, "reason": end.reason})

    async def _wait(self, failures: int, end: End) -> None:
        """Full jitter, never before the gateway wants it, and to the moment that a drain named."""
        now = time.monotonic()
        if self._come_back_at is not None:
            wait_s = max(0.0, self._come_back_at - now)
        else:
            wait_s = backoff_s(failures, self._options.backoff_base_s, self._options.backoff_cap_s)
            wait_s = max(wait_s, end.wait_s or 0.0, self._refused_for_s or 0.0)
        self._come_back_at = self._refused_for_s = None
        self.next_attempt_at = time.time() + wait_s
        self._move("waiting")
        await asyncio.sleep(wait_s)
        self.next_attempt_at = None

    async def _attempt(self) -> End:
        """One connection from its ticket to its end."""
        options = self._options
        try:
            ticket = await ask_ticket(options)
        except TicketFailed as error:
            return End(1006, f"no ticket: {error}", Verdict.RECONNECT)
        socket = self._socket = Socket(self._url, options, self._codec)
        self._authed = asyncio.Event()
        watching: asyncio.Task[None] | None = None
        try:
            try:
                refused = await asyncio.wait_for(socket.open(ticket), options.connect_timeout_s)
            except asyncio.TimeoutError:
                return End(1006, "no answer to the handshake in time", Verdict.RECONNECT)
            if refused is not None:
                return refused
            self._heard_at = time.monotonic()
            watching = asyncio.get_running_loop().create_task(self._watch(socket))
            return await socket.read(self._received)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            if self._socket is socket and not self._closing:
                self._socket = None
                await socket.close(1001)
            self._disconnected()

    async def _watch(self, socket: Socket) -> None:
        """Liveness and the ticket's end: one task a connection."""
        options = self._options
        assert self._authed is not None
        try:
            await asyncio.wait_for(self._authed.wait(), options.connect_timeout_s)
        except asyncio.TimeoutError:
            socket.abort()
            return
        refresh_at = self._refresh_time()
        while True:
            now = time.monotonic()
            if self._pings:
                if now - max(self._heard_at, min(self._pings.values())) >= options.pong_timeout_s:
                    socket.abort()
                    return
                next_look = max(self._heard_at, min(self._pings.values())) + options.pong_timeout_s
            elif now - self._heard_at >= options.ping_interval_s:
                self._ping()
                continue
            else:
                next_look = self._heard_at + options.ping_interval_s
            if refresh_at is not None:
                if time.time() >= refresh_at:
                    refresh_at = None
                    asyncio.ensure_future(self._refresh_quietly())
                    continue
                next_look = min(next_look, now + refresh_at - time.time())
            await asyncio.sleep(max(0.001, next_look - now))
            if refresh_at is None:
                refresh_at = self._refresh_time()

    def _refresh_time(self) -> float | None:
        """10 % of the ticket's life before its end, at most 30 s; None: not for a fixed ticket, or without an end."""
        expires_at = (self.session or {}).get("expires_at")
        if expires_at is None or isinstance(self._options.ticket, str):
            return None
        left_s = expires_at - time.time()
        if left_s <= 0 or expires_at == self._refreshed_for:
            return None
        return float(expires_at - min(_MAX_REFRESH_LEAD_S, left_s / 10))

    async def _refresh_quietly(self) -> None:
        self._refreshed_for = (self.session or {}).get("expires_at")
        try:
            await self.refresh()
        except WsPrismError as error:
            if error.code not in (CLOSED, DISCONNECTED):
                self._listener_failed(error)

    def _closed(self, reason: dict[str, Any]) -> None:
        self.reason = reason
        self.next_attempt_at = None
        error = WsPrismError(CLOSED, f"{reason['code']} {reason['reason']}".strip())
        if self._first_open is not None and not self._first_open.done():
            self._first_open.set_exception(error)
        self._calls.close()
        rooms, self._rooms = self._rooms, {}
        for room in rooms.values():
            room._end(error)
        self._move("closed")

    def _disconnected(self) -> None:
        self.session = None
        self._joins.clear()
        self._leaves.clear()
        self._pings.clear()
        self._calls.disconnected()
        for room in list(self._rooms.values()):
            if room._leaving is not None:
                self._forget(room)
            else:
                room._on_disconnected()

    def _move(self, state: str) -> None:
        if self.state == state:
            return
        self.state = state
        told: dict[str, Any] = {"state": state}
        if state == "waiting":
            told["next_attempt_at"] = self.next_attempt_at
        if state == "closed":
            told["reason"] = self.reason
        self._events.emit("state", told)

    # Out

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _send(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        self._socket.send(self._codec.encode(message))

    def _join(self, room: Room) -> None:
        seq = self._next_seq()
        self._joins[seq] = room
        self._send(room._join_message(seq))

    def _ping(self) -> None:
        seq = self._next_seq()
        self._pings[seq] = time.monotonic()
        self._send({"v": 1, "svc": "sys", "type": "ping", "flags": _SEQ_PRESENT, "seq": seq})

    async def _acknowledged(
        self, svc: str, type: str, data: Any, *, room: str | None = None, id: str | None = None
    ) -> Any:
        message = _message(svc, type, data, room)
        message["flags"] = ACK_REQUESTED | _SEQ_PRESENT
        if id is not None:
            message["id"] = id
        return await self._call(message, again=True, room=room).answer

    def _call(self, message: dict[str, Any], *, again: bool, room: str | None) -> Call:
        self._start()
        size_bytes = len(self._codec.encode(message))  # raises for what cannot be sent
        call = Call(message, size_bytes, again, room)
        opened = self.state == "open"
        self._calls.add(call, sent=opened)
        if opened:
            self._send_call(call, waited=False)
        return call

    def _send_call(self, call: Call, *, waited: bool) -> None:
        seq = self._next_seq()
        self._calls.sent(call, seq, waited=waited)
        self._send({**call.message, "seq": seq})

    async def _answer(self, call: Call, timeout_s: float) -> Any:
        try:
            return await asyncio.wait_for(asyncio.shield(call.answer), timeout_s)
        except asyncio.TimeoutError:
            error = WsPrismError(TIMEOUT, "no answer in time")
            self._calls.end(call, error=error)
            raise error from None
        except asyncio.CancelledError:
            self._calls.end(call, error=WsPrismError(CLOSED, "nobody waits for it"))
            raise

    def _send_hot(self, room: Room, service: int, opcode: int, data: bytes) -> bool:
        if self.state != "open" or room.state != "joined" or self._socket is None:
            self.dropped_hot += 1
            return False
        number = room._number if len(self._rooms) > 1 else None
        self._socket.send(encode_hot(service, opcode, bytes(data), number))
        return True

    async def _leave(self, room: Room) -> None:
        if self._rooms.get(room.name) is not room:
            return
        if self.state != "open":
            self._forget(room)
            return
        if room._leaving is None:
            room._leaving = asyncio.get_running_loop().create_future()
            seq = self._next_seq()
            self._leaves[seq] = room
            self._send({"v": 1, "svc": "room", "type": "leave", "flags": _SEQ_PRESENT, "seq": seq, "room": room.name})
        await asyncio.shield(room._leaving)

    def _forget(self, room: Room) -> None:
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
        room._on_left(asked=True)

    # In

    def _received(self, raw: str | bytes) -> bool:
        """Handle one message; whether it was ``authed``."""
        self._heard_at = time.monotonic()
        message = self._codec.decode(raw)
        if message is None:
            return False
        if isinstance(message, HotFrame):
            self._on_hot(message)
            return False
        svc, kind = message.get("svc"), message.get("type")
        if svc == "sys":
            return self._on_sys(str(kind), message)
        call = self._calls.of_seq(message.get("seq"))
        if call is not None and not call.again:
            self._calls.end(call, message.get("data"))
            return False
        name = message.get("room")
        if svc == "room" and kind == "presence_diff" and name in self._rooms:
            self._rooms[name]._on_presence(message.get("data"))
        elif isinstance(name, str) and name in self._rooms:
            self._rooms[name]._on_message(message)
        else:
            self._events.emit("message", message)
        return False

    def _on_sys(self, kind: str, message: dict[str, Any]) -> bool:
        seq, data = message.get("seq"), message.get("data") or {}
        room = self._rooms.get(message.get("room", ""))
        if kind == "authed":
            self._on_authed(data)
            return True
        if kind == "joined" and room is not None:
            self._joins.pop(seq, None)  # type: ignore[call-overload]
            room._on_joined(message)
        elif kind == "left" and room is not None:
            asked = self._leaves.pop(seq, None) is not None  # type: ignore[call-overload]
            self._rooms.pop(room.name, None)
            room._on_left(asked=asked or room._leaving is not None)
        elif kind == "gap" and room is not None:
            room._on_gap(data)
        elif kind == "pong":
            sent_at = self._pings.pop(seq, None)  # type: ignore[call-overload]
            if sent_at is not None:
                self.round_trip_s = time.monotonic() - sent_at
        elif kind == "draining":
            self._come_back_at = time.monotonic() + data.get("reconnect_after_ms", 0) / 1000
            self._events.emit("draining", data)
        elif kind == "error":
            self._on_error(seq, data)
        elif kind in ("ack", "refreshed"):
            if kind == "refreshed" and self.session is not None:
                self.session["expires_at"] = data.get("expires_at")
            call = self._calls.of_seq(seq)
            if call is not None and (call.again or kind == "refreshed"):
                self._calls.end(call, data)
        return False

    def _on_authed(self, data: dict[str, Any]) -> None:
        self.session = {
            "tenant": data.get("tenant"),
            "user": data.get("user"),
            "sid": data.get("sid"),
            "expires_at": data.get("expires_at"),
            "data": data.get("data"),
        }
        self._opened_at = time.monotonic()
        assert self._authed is not None
        self._authed.set()
        for room in list(self._rooms.values()):
            if room.state not in ("refused", "left"):
                self._join(room)
        for call in self._calls.waiting():
            self._send_call(call, waited=True)
        self._move("open")
        if self._first_open is not None and not self._first_open.done():
            self._first_open.set_result(None)

    def _on_error(self, seq: Any, data: dict[str, Any]) -> None:
        error = WsPrismError(str(data.get("code")), str(data.get("msg", "")))
        if isinstance(data.get("retry_after_ms"), (int, float)):
            self._refused_for_s = data["retry_after_ms"] / 1000
        join = self._joins.pop(seq, None)
        leave = self._leaves.pop(seq, None)
        call = self._calls.of_seq(seq)
        if join is not None:
            if error.code == "UNAVAILABLE":
                asyncio.get_running_loop().call_later(self._options.backoff_base_s, self._join_again, join)
                return
            join._on_refused(error)
            self._calls.end_room(join.name, error)
        elif leave is not None:
            self._rooms.pop(leave.name, None)
            leave._on_left(asked=True)
        elif call is not None:
            self._calls.end(call, error=error)
        elif self.session is not None:
            self._listener_failed(error)

    def _join_again(self, room: Room) -> None:
        if self.state == "open" and self._rooms.get(room.name) is room and room.state == "joining":
            self._join(room)

    def _on_hot(self, frame: HotFrame) -> None:
        if frame.number is not None:
            for room in self._rooms.values():
                if room._number == frame.number:
                    named = HotFrame(
                        frame.service,
                        frame.opcode,
                        frame.flags,
                        frame.payload,
                        frame.seq,
                        frame.sender,
                        room.name,
                        frame.number,
                    )
                    room._on_hot(named)
                    return
        self._events.emit("hot", frame)
        if len(self._rooms) == 1:
            next(iter(self._rooms.values()))._on_hot(frame)

    def _listener_failed(self, error: Exception) -> None:
        """An error that belongs to no call: of the gateway, or a listener that threw."""
        self._events._report(error)


def _message(svc: str, type: str, data: Any, room: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"v": 1, "svc": svc, "type": type}
    if room is not None:
        message["room"] = room
    if data is not None:
        message["data"] = data
    return message
