"""What comes over the connection, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsprism_client._calls import Call, Calls
from wsprism_client._errors import WsPrismError
from wsprism_client._events import Emitter
from wsprism_client._fields import count, seconds, text
from wsprism_client._life import Life
from wsprism_client._rooms import Rooms
from wsprism_client._watch import Watch
from wsprism_client._wire import Codec, HotFrame

__all__ = ["Incoming"]

_BEFORE_AUTHED = ("authed", "error", "draining")


@dataclass(frozen=True)
class Incoming:
    """The parts of a client that are told. ``fault`` gets errors that belong to no call."""

    codec: Codec
    life: Life
    calls: Calls
    rooms: Rooms
    watch: Watch
    events: Emitter
    fault: Callable[[Exception], None]

    def receive(self, raw: str | bytes) -> None:
        """One message; what is not understood is passed over."""
        self.watch.heard()
        message = self.codec.decode(raw)
        if message is None:
            return
        if self.life.session is None and not _may_come_first(message):
            return
        if isinstance(message, tuple):
            if not self.rooms.on_hot(*message):
                self.events.emit("hot", message[0])
            return
        call = self.calls.of_seq(message.get("seq"))
        if message.get("svc") == "sys":
            self._on_sys(message, call)
        elif call is not None and not call.again:
            self.calls.end(call, message.get("data"))
        else:
            self._on_message(message)

    def _on_message(self, message: dict[str, Any]) -> None:
        room = self.rooms.get(message.get("room"))
        if room is None:
            self.events.emit("message", message)
        elif (message.get("svc"), message.get("type")) == ("room", "presence_diff"):
            room._on_presence(message.get("data"))
        else:
            room._on_message(message)

    def _on_sys(self, message: dict[str, Any], call: Call | None) -> None:
        seq, name, given = message.get("seq"), message.get("room"), message.get("data")
        data: dict[str, Any] = given if isinstance(given, dict) else {}
        kind = message.get("type")
        match kind:
            case "error":
                self._on_error(seq, data, call)
                return
            case "authed":
                self._on_authed(data)
                return
            case "joined":
                self.rooms.on_joined(seq, name, data)
            case "left":
                self.rooms.on_left(seq, name)
            case "gap":
                if (room := self.rooms.get(name)) is not None:
                    room._on_gap(data)
            case "pong":
                self.watch.pong(seq)
            case "refreshed":
                if self.life.session is not None:
                    self.life.session["expires_at"] = count(data.get("expires_at"))
                    self.watch.expires(self.life.session["expires_at"], again=True)
            case "draining":
                after_s = seconds(data.get("reconnect_after_ms"))
                self.life.draining(after_s)
                self.events.emit("draining", {"reconnect_after_s": after_s})
            case "degraded":
                self.events.emit("degraded", {"degraded": data.get("degraded") is True})
        if call is not None and call.again is (kind == "ack"):
            self.calls.end(call, given)

    def _on_authed(self, data: dict[str, Any]) -> None:
        if self.life.session is None:
            names = {name: text(data.get(name)) for name in ("tenant", "user", "sid")}
            self.life.authed({**names, "expires_at": count(data.get("expires_at")), "data": data.get("data")})

    def _on_error(self, seq: object, data: dict[str, Any], call: Call | None) -> None:
        error = WsPrismError(str(data.get("code")), str(data.get("msg", "")))
        wait_s = seconds(data.get("retry_after_ms"))
        if self.life.session is None:
            self.life.refused(str(error), wait_s)
        elif self.rooms.on_error(seq, error, wait_s):
            return
        elif call is not None:
            self.calls.end(call, error=error)
        else:
            self.fault(error)


def _may_come_first(message: dict[str, Any] | tuple[HotFrame, int | None]) -> bool:
    """Before it has let the client in, a gateway says why it does not, and nothing else."""
    return isinstance(message, dict) and message.get("svc") == "sys" and message.get("type") in _BEFORE_AUTHED
