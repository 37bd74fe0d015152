"""A Locust user on one WebSocket: joins a room, publishes on a lane, and reports what it receives.

Deliveries are Locust requests whose response time is the end-to-end latency (all users on one machine share a clock);
each lost message is a failed one, so that Locust's failure ratio is the loss ratio. Scenarios are in ``locustfile``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
import uuid
from collections.abc import Iterator
from socket import SO_RCVBUF, SOL_SOCKET
from typing import ClassVar

import gevent  # type: ignore[import-untyped]
import websocket
from locust import User

from load.gaps import Gaps, parse_note, write_note

__all__ = ["GatewayUser", "LostMessagesError"]

_TENANT = os.environ.get("WSPRISM_TENANT", "acme")
_TICKET_PREFIX = os.environ.get("WSPRISM_TICKET_PREFIX", "dev:")
_HOT_HEADER = b"\x01\x01\x00"
_JOIN_WITHIN_S = 10.0


class LostMessagesError(Exception):
    """A message of a sender's sequence never came."""


class GatewayUser(User):
    """Set ``lane`` (``ext`` or ``hot``) and override ``room``; publish with ``publish``."""

    abstract = True
    host = "ws://127.0.0.1:8080"
    lane = "ext"
    receive_buffer_bytes = 0
    """The socket's receive buffer; 0 leaves it to the system."""
    _places: ClassVar[Iterator[int]] = itertools.count()

    def __init_subclass__(cls) -> None:
        """Each scenario counts its own users, so that rooms fill whatever runs beside it."""
        super().__init_subclass__()
        cls._places = itertools.count()

    def room(self) -> str:
        """The room to join; called once."""
        return "lobby"

    def on_start(self) -> None:
        """Connect, join, and start reading."""
        self.place = next(type(self)._places)
        self.name = f"u{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()
        self._gaps = Gaps()
        self._reader: gevent.Greenlet | None = None
        self.joined_room = self.room()
        self.socket = self.connect()
        self.send_ext("room", "join")
        with gevent.Timeout(_JOIN_WITHIN_S):
            while '"joined"' not in str(self.socket.recv()):
                pass
        self._reader = gevent.spawn(self.read)

    def on_stop(self) -> None:
        """Stop reading and leave."""
        if self._reader is not None:
            self._reader.kill()
        self.leave(self.socket)

    def leave(self, socket: websocket.WebSocket) -> None:
        """Close without waiting for the answer: the library's own ``close`` would swallow Locust's order to stop."""
        with contextlib.suppress(websocket.WebSocketException, OSError):
            socket.send_close()
        socket.shutdown()  # type: ignore[no-untyped-call]

    def connect(self) -> websocket.WebSocket:
        """A socket that was accepted; the handshake is reported as a request."""
        url = f"{self.host}/v1/ws?tenant={_TENANT}&ticket={_TICKET_PREFIX}{self.name}"
        options = [(SOL_SOCKET, SO_RCVBUF, self.receive_buffer_bytes)] if self.receive_buffer_bytes else []
        started = time.monotonic()
        fault: Exception | None = None
        try:
            return websocket.create_connection(url, timeout=30, enable_multithread=False, sockopt=options)
        except Exception as error:
            fault = error
            raise
        finally:
            self.report("connect", "handshake", time.monotonic() - started, 0, fault)

    def report(self, kind: str, what: str, seconds: float, size: int, fault: Exception | None = None) -> None:
        """One Locust statistic of this scenario."""
        self.environment.events.request.fire(
            request_type=kind,
            name=f"{type(self).__name__} {what}",
            response_time=seconds * 1000,
            response_length=size,
            exception=fault,
            context={},
        )

    def send_ext(self, service: str, action: str, data: dict[str, str] | None = None) -> None:
        """One message of the ext lane to the joined room."""
        message: dict[str, object] = {"v": 1, "svc": service, "type": action, "room": self.joined_room}
        if data is not None:
            message["data"] = data
        self.socket.send(json.dumps(message))

    def publish(self) -> None:
        """One numbered, time-stamped message to everybody in the room, on this user's lane."""
        note = write_note(self.name, next(self._numbers), time.monotonic())
        if self.lane == "hot":
            self.socket.send_binary(_HOT_HEADER + note.encode())
        else:
            self.send_ext("chat", "send", {"msg": note})

    def read(self) -> None:
        """Receive until the socket ends; its end while the user runs is a failure."""
        try:
            while True:
                self.received(self.socket.recv())
        except (websocket.WebSocketException, OSError) as error:
            self.report(self.lane, "connection", 0.0, 0, error)

    def received(self, frame: str | bytes) -> float | None:
        """Report a delivery and the losses before it; its age in seconds, or None for anything else."""
        note = parse_note(_text_of(frame))
        if note is None:
            return None
        sender, number, sent_s = note
        age_s = time.monotonic() - sent_s
        for _ in range(self._gaps.observe(sender, number)):
            self.report(self.lane, "delivery", 0.0, 0, LostMessagesError("lost"))
        self.report(self.lane, "delivery", age_s, len(frame))
        return age_s


def _text_of(frame: str | bytes) -> str:
    if isinstance(frame, bytes):
        return frame[len(_HOT_HEADER) :].decode(errors="replace")
    try:
        data = json.loads(frame).get("data")
    except ValueError:
        return ""
    return str(data.get("msg", "")) if isinstance(data, dict) else ""
