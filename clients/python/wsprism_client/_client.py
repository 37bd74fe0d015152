"""The client: one connection at a time, come back to when it is lost, its rooms, and what waits for an answer."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from wsprism_client._calls import Call, Calls
from wsprism_client._codes import Verdict, backoff_s, of_close
from wsprism_client._errors import CLOSED, TIMEOUT, WsPrismError
from wsprism_client._events import Emitter
from wsprism_client._options import Options, Ticket, address
from wsprism_client._room import Room, new_id
from wsprism_client._socket import ABNORMAL, End, Socket, TicketFailed, ask_ticket, within
from wsprism_client._wire import ACK_REQUESTED, Codec, HotFrame, encode_hot

__all__ = ["Client"]

_SEQ_PRESENT = 1
_MAX_REFRESH_LEAD_S = 30.0
_MAX_LOOK_S = 1.0
"""A refreshed ticket's end is seen so soon, at the latest."""
_NOT_SENT = frozenset({1005, 1006, 1015})
"""Close codes that never stand in a frame (RFC 6455, 7.4.1)."""
_MAX_HOT_BUFFERED_BYTES = 65_536
_EVENTS = frozenset({"state", "message", "hot", "error", "draining"})
_PASSING = frozenset({"RATE_LIMITED", "UNAVAILABLE", "TIMEOUT", "INTERNAL"})
"""Codes of joins that were refused for now."""

_log = logging.getLogger("wsprism_client")


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
        address(url, self._options)
        self._url = url
        self._sid = sid
        self._codec = Codec(format)
        self.state = "idle"
        self.next_attempt_at: float | None = None
        self.reason: dict[str, Any] | None = None
        self.session: dict[str, Any] | None = None
        self.round_trip_s: float | None = None
        self.dropped_hot = 0
        self._events = Emitter(_EVENTS, self._fault)
        self._rooms: dict[str, Room] = {}
        self._calls = Calls(queue_messages, queue_bytes)
        self._seq = 0
        self._joins: dict[int, Room] = {}
        self._leaves: dict[int, Room] = {}
        self._join_order: dict[str, None] = {}
        self._ping: tuple[int, float] | None = None
        self._refresh_at: float | None = None
        self._socket: Socket | None = None
        self._heard_at = 0.0
        self._opened_at: float | None = None
        self._too_late: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._come_back_at: float | None = None
        self._refusal: tuple[float, str] | None = None
        self._first_open: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._background: set[asyncio.Task[None]] = set()

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
        if known is not None and known._leaving is None:
            return known
        self._start()
        if known is not None:
            self._forget(known)
        room = self._rooms[name] = Room(self, name, presence=presence, state=state, since=since)
        if self.state == "open":
            self._join(room)
        return room

    async def publish(
        self, svc: str, type: str, data: Any = None, room: str | None = None, id: str | None = None
    ) -> int | None:
        """Any ext message, acknowledged; sent again with the same id until it is. The ack's offset, or None."""
        message = {**_message(svc, type, data, room), "flags": ACK_REQUESTED | _SEQ_PRESENT, "id": id or new_id()}
        ack = await self._call(message, again=True).answer
        return ack.get("offset") if isinstance(ack, dict) else None

    async def request(
        self, svc: str, type: str, data: Any = None, room: str | None = None, timeout_s: float | None = None
    ) -> Any:
        """The data of the first message that repeats its seq. Not sent again: DISCONNECTED when the connection goes."""
        call = self._call({**_message(svc, type, data, room), "flags": _SEQ_PRESENT}, again=False)
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
            raise self._closed_error()
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._first_open = loop.create_future()
            self._first_open.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        failures = 0
        asked_again = False
        while True:
            self._opened_at = None
            self._refusal = None
            self._move("connecting")
            end = await self._attempt()
            opened_at, refusal = self._opened_at, self._refusal
            self._disconnected()
            if opened_at is not None:
                asked_again = False
                if time.monotonic() - opened_at >= self._options.backoff_reset_s:
                    failures = 0
            may_ask = not asked_again and not isinstance(self._options.ticket, str)
            if end.verdict is Verdict.FINAL or (end.verdict is Verdict.NEW_TICKET and not may_ask):
                self._task = None
                self._closed({"code": end.code, "reason": refusal[1] if refusal else end.reason})
                return
            asked_again = asked_again or end.verdict is Verdict.NEW_TICKET
            await self._wait(failures, max(end.wait_s or 0.0, refusal[0] if refusal else 0.0))
            failures += 1

    async def _wait(self, failures: int, asked_s: float) -> None:
        """Full jitter, never before the gateway wants it, and to the moment that a drain named."""
        now = time.monotonic()
        until = now + max(asked_s, backoff_s(failures, self._options.backoff_base_s, self._options.backoff_cap_s))
        if self._come_back_at is not None:
            until, self._come_back_at = max(now, self._come_back_at), None
        self.next_attempt_at = time.time() + until - now
        self._move("waiting")
        await asyncio.sleep(until - now)
        await asyncio.sleep(max(0.0, until - time.monotonic()))  # a timer may be early by its clock's resolution
        self.next_attempt_at = None

    async def _attempt(self) -> End:
        """One connection from its ticket to its end."""
        options = self._options
        try:
            ticket = await ask_ticket(options)
        except TicketFailed as error:
            return End(ABNORMAL, f"no ticket: {error}", Verdict.RECONNECT)
        socket = Socket(address(self._url, options, self._sid), self._codec)
        loop = asyncio.get_running_loop()
        too_late = "no answer to the handshake in time"
        self._too_late = loop.call_later(options.connect_timeout_s, socket.abort, too_late)
        goodbye: int | None = 1000
        try:
            try:
                refused = await within(socket.open(ticket), options.connect_timeout_s)
            except asyncio.TimeoutError:
                goodbye = None
                return End(ABNORMAL, too_late, Verdict.RECONNECT)
            if refused is not None:
                return refused
            self._socket = socket
            code, reason = await socket.read(self._received)
            goodbye = None if code == ABNORMAL else code
            return End(code, reason, of_close(code, authed=self._opened_at is not None))
        finally:
            self._too_late.cancel()
            if self._watching is not None:
                self._watching.cancel()
                self._watching = None
            # Until the state says that it is lost, calls are still made on it: they are sent again, or end, with it.
            try:
                await socket.close(1000 if goodbye in _NOT_SENT else goodbye)
            finally:
                self._socket = None

    async def _watch(self, socket: Socket) -> None:
        """Liveness and the ticket's end: one task a connection."""
        options = self._options
        while True:
            now = time.monotonic()
            if self._ping is None:
                next_look = self._heard_at + options.ping_interval_s
                if now >= next_look:
                    self._send_ping()
                    continue
            else:
                next_look = max(self._heard_at, self._ping[1]) + options.pong_timeout_s
                if now >= next_look:
                    socket.abort("no answer to a ping")
                    return
            if self._refresh_at is not None and now >= self._refresh_at:
                self._refresh_at = None
                self._in_background(self._refresh_quietly())
            soonest = next_look if self._refresh_at is None else min(next_look, self._refresh_at)
            await asyncio.sleep(max(0.001, min(soonest - now, _MAX_LOOK_S)))

    def _refresh_in_time(self) -> None:
        """10 % of the ticket's life before its end, at most 30 s. A ticket that is a string has no next one."""
        self._refresh_at = None
        expires_at = (self.session or {}).get("expires_at")
        if expires_at is None or isinstance(self._options.ticket, str):
            return
        left_s = expires_at - time.time()
        if left_s > 0:
            self._refresh_at = time.monotonic() + left_s - min(_MAX_REFRESH_LEAD_S, left_s / 10)

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except WsPrismError as error:
            if self.state == "open":
                self._fault(error)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _closed(self, reason: dict[str, Any]) -> None:
        self.reason = reason
        self.next_attempt_at = None
        self.state = "closed"
        error = self._closed_error()
        self._calls.close(error)
        self._disconnected()
        if self._first_open is not None and not self._first_open.done():
            self._first_open.set_exception(error)
        rooms, self._rooms = self._rooms, {}
        for room in rooms.values():
            room._on_left(told=False)
        for task in list(self._background):
            task.cancel()
        self._events.emit("state", {"state": "closed", "reason": reason})

    def _closed_error(self) -> WsPrismError:
        why = self.reason or {"code": 1000, "reason": "closed by the client"}
        return WsPrismError(CLOSED, f"the client is closed: {why['code']} {why['reason']}")

    def _disconnected(self) -> None:
        self.session = None
        self._ping = None
        self._refresh_at = None
        self._joins.clear()
        self._leaves.clear()
        self._join_order.clear()
        self._calls.disconnected()
        for room in list(self._rooms.values()):
            if room._leaving is not None:
                self._forget(room)
            else:
                room._on_disconnected()

    def _move(self, state: str) -> None:
        self.state = state
        told: dict[str, Any] = {"state": state}
        if self.next_attempt_at is not None:
            told["next_attempt_at"] = self.next_attempt_at
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
        self._join_order.pop(room.name, None)
        self._join_order[room.name] = None
        self._send(room._join_message(seq))

    def _send_ping(self) -> None:
        seq = self._next_seq()
        self._ping = seq, time.monotonic()
        self._send({"v": 1, "svc": "sys", "type": "ping", "flags": _SEQ_PRESENT, "seq": seq})

    def _call(self, message: dict[str, Any], *, again: bool) -> Call:
        self._start()
        call = Call(message, len(_encoded(self._codec, message)), again)
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
            await asyncio.wait((call.answer,), timeout=timeout_s)
        except asyncio.CancelledError:
            self._calls.end(call, error=WsPrismError(CLOSED, "nobody waits for it"))
            raise
        self._calls.end(call, error=WsPrismError(TIMEOUT, "no answer in time"))
        return call.answer.result()

    def _send_hot(self, room: Room, service: int, opcode: int, data: bytes) -> bool:
        number = room._number if len(self._rooms) > 1 else None
        frame = encode_hot(service, opcode, bytes(data), number)
        goes_there = number is not None or next(reversed(self._join_order), None) == room.name
        ready = self.state == "open" and room.state == "joined" and goes_there
        if self._socket is None or not ready or self._socket.buffered_bytes > _MAX_HOT_BUFFERED_BYTES:
            self.dropped_hot += 1
            return False
        self._socket.send(frame)
        return True

    async def _leave(self, room: Room) -> None:
        if room.state == "left":
            return
        if room._leaving is None:
            if self.state != "open" or room.state == "refused":
                self._forget(room)
                return
            room._leaving = asyncio.get_running_loop().create_future()
            seq = self._next_seq()
            self._leaves[seq] = room
            self._send({"v": 1, "svc": "room", "type": "leave", "flags": _SEQ_PRESENT, "seq": seq, "room": room.name})
        await asyncio.shield(room._leaving)

    def _forget(self, room: Room, *, told: bool = False) -> None:
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._join_order.pop(room.name, None)
        room._on_left(told=told)

    # In

    def _received(self, raw: str | bytes) -> None:
        self._heard_at = time.monotonic()
        message = self._codec.decode(raw)
        if message is None:
            return
        if isinstance(message, tuple):
            self._on_hot(*message)
            return
        call = self._calls.of_seq(message.get("seq"))
        if message.get("svc") == "sys":
            self._on_sys(message, call)
            return
        if call is not None and not call.again:
            self._calls.end(call, message.get("data"))
            return
        room = self._room_of(message)
        if room is None:
            self._events.emit("message", message)
        elif (message.get("svc"), message.get("type")) == ("room", "presence_diff"):
            room._on_presence(message.get("data"))
        else:
            room._on_message(message)

    def _room_of(self, message: dict[str, Any]) -> Room | None:
        name = message.get("room")
        return self._rooms.get(name) if isinstance(name, str) else None

    def _on_sys(self, message: dict[str, Any], call: Call | None) -> None:
        room = self._room_of(message)
        seq = message.get("seq")
        data = message["data"] if isinstance(message.get("data"), dict) else {}
        kind = message.get("type")
        if kind == "error":
            self._on_error(seq, data, call)
            return
        if kind == "authed":
            self._on_authed(data)
            return
        if kind == "joined":
            _taken(self._joins, seq)
            if room is not None:
                room._on_joined(data)
        elif kind == "left":
            left = _taken(self._leaves, seq)
            if left is not None:
                self._forget(left)
            elif room is not None:
                self._forget(room, told=room._leaving is None)
        elif kind == "gap" and room is not None:
            room._on_gap(data)
        elif kind == "pong" and self._ping is not None and self._ping[0] == seq:
            self.round_trip_s = time.monotonic() - self._ping[1]
            self._ping = None
        elif kind == "refreshed" and self.session is not None:
            self.session["expires_at"] = data.get("expires_at")
            self._refresh_in_time()
        elif kind == "draining":
            after_s = data.get("reconnect_after_ms", 0) / 1000
            self._come_back_at = time.monotonic() + after_s
            self._events.emit("draining", {"reconnect_after_s": after_s})
        if call is not None and call.again is (kind == "ack"):
            self._calls.end(call, message.get("data"))

    def _on_authed(self, data: dict[str, Any]) -> None:
        if self.session is not None:
            return
        self.session = {
            "tenant": data.get("tenant"),
            "user": data.get("user"),
            "sid": data.get("sid"),
            "expires_at": data.get("expires_at"),
            "data": data.get("data"),
        }
        self._sid = data.get("sid") or self._sid
        self._opened_at = time.monotonic()
        self._refresh_in_time()
        if self._too_late is not None and self._socket is not None:
            self._too_late.cancel()
            self._watching = asyncio.get_running_loop().create_task(self._watch(self._socket))
        for room in list(self._rooms.values()):
            if room.state == "joining":
                self._join(room)
        for call in self._calls.waiting():
            self._send_call(call, waited=True)
        if self._first_open is not None and not self._first_open.done():
            self._first_open.set_result(None)
        self._move("open")

    def _on_error(self, seq: object, data: dict[str, Any], call: Call | None) -> None:
        error = WsPrismError(str(data.get("code")), str(data.get("msg", "")))
        if self.session is None:
            self._refusal = data.get("retry_after_ms", 0) / 1000, str(error)
            return
        join, leave = _taken(self._joins, seq), _taken(self._leaves, seq)
        if join is not None and error.code in _PASSING:
            self._in_background(self._join_later(join))
        elif join is not None:
            if self._rooms.get(join.name) is join:
                self._join_order.pop(join.name, None)
            join._on_refused(error)
        elif leave is not None:
            self._forget(leave)
        elif call is not None:
            self._calls.end(call, error=error)
        else:
            self._fault(error)

    async def _join_later(self, room: Room) -> None:
        """It was refused for now."""
        socket = self._socket
        await asyncio.sleep(self._options.backoff_base_s * random.uniform(0.5, 1.5))
        if self._socket is socket and self._rooms.get(room.name) is room and room.state == "joining":
            self._join(room)

    def _on_hot(self, frame: HotFrame, number: int | None) -> None:
        rooms = list(self._rooms.values())
        room = next((each for each in rooms if number is not None and each._number == number), None)
        if room is not None:
            room._on_hot(dataclasses.replace(frame, room=room.name))
            return
        self._events.emit("hot", frame)
        if number is None and len(rooms) == 1:
            rooms[0]._on_hot(frame)

    def _fault(self, error: Exception) -> None:
        """An error that belongs to no call: told to whoever listens, else written."""
        if not self._events.emit("error", error, _write):
            _write(error)


def _write(error: Exception) -> None:
    _log.error("%s", error, exc_info=error)


def _taken(rooms: dict[int, Room], seq: object) -> Room | None:
    return rooms.pop(seq, None) if isinstance(seq, int) else None


def _encoded(codec: Codec, message: dict[str, Any]) -> bytes:
    encoded = codec.encode(message)
    return encoded.encode() if isinstance(encoded, str) else encoded


def _message(svc: str, type: str, data: Any, room: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"v": 1, "svc": svc, "type": type}
    if room is not None:
        message["room"] = room
    if data is not None:
        message["data"] = data
    return message
