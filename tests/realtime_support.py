"""A tenant with its actors on a manual clock, and sockets that only remember what was written to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors import ActorSystem
from actors.testing import ManualScheduler
from qos import Pacer
from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.policy.decisions import Denied
from wsprism.ports import Authenticator, ExtService, HotService, Principal, TicketRefusal, TicketRequest
from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import close_frame, ping_frame
from wsprism.protocol.traces import ConnectionTrace
from wsprism.realtime.gateway import Gateway
from wsprism.realtime.messages import Attached, OpenSession, TransportLost
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.outbound.wire import WireFormat, wire_format
from wsprism.realtime.rules import ServiceRegistry, TenantContext, compile_rules
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.session import Session
from wsprism.services import ChatService, EchoService, RelayService, RoomService
from wsprism.settings import TenantSettings

__all__ = ["FakeTransport", "Peer", "World", "frames_in"]


class FakeTransport:
    """What the flusher writes to; ``fill`` makes it full, ``drain`` empty again."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.paused = False
        self.reading = True
        self.written = b""
        self.writes = 0
        self.ended: str | None = None
        self.stuck_bytes = 0
        self.max_message_bytes: int | None = None

    def write(self, data: bytes) -> None:
        self.written += data
        self.writes += 1

    def progress(self) -> int:
        return self.stuck_bytes

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def limit_message_bytes(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes

    def ping(self) -> None:
        self.write(ping_frame())

    def end(self, code: int | None, reason: str) -> None:
        self.write(close_frame(code, reason))

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def fill(self, stuck_bytes: int = 1) -> None:
        self.paused = True
        self.stuck_bytes = stuck_bytes

    def drain(self) -> None:
        self.paused = False
        self.stuck_bytes = 0
        self.outlet.flusher.resume(self.outlet)


class Nobody:
    """Lets ``refresh:<user>`` in."""

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        scheme, _, user = request.ticket.partition(":")
        return Principal(user, expires_at=99.0) if scheme == "refresh" else TicketRefusal.REFUSED

    async def close(self) -> None: ...


class Peer:
    """One connected client: says things and reads what was written to its socket."""

    def __init__(self, world: World, session: Session) -> None:
        self._world = world
        self.session = session
        self.outlet = session.outlet
        self.transport = FakeTransport(session.outlet)
        self.heard_at = 0.0
        self.pinged_at = 0.0
        self._read = 0

    def say(self, *messages: str | bytes | dict[str, Any]) -> None:
        """What arrives in one read of the socket; then everything settles."""
        self.session.connection.deliver([self.encoded(one) if isinstance(one, dict) else one for one in messages])
        self._world.settle()

    def encoded(self, message: dict[str, Any]) -> Any:
        """As this client writes it."""
        codec = self.outlet.format.codec
        return codec.encode(message) if codec.binary else json.dumps(message)

    def heard(self) -> list[dict[str, Any] | bytes]:
        """What has been written since the last call: ext messages decoded, others as bytes."""
        codec = self.outlet.format.codec
        return [
            codec.decode_data(msgspec.Raw(payload)) if opcode == 1 or (codec.binary and _is_map(payload)) else payload
            for opcode, payload in self.frames()
        ]

    def frames(self) -> list[tuple[int, bytes]]:
        """The frames written since the last call: opcode and payload."""
        frames = frames_in(self.transport.written[self._read :])
        self._read = len(self.transport.written)
        return frames

    def closed_with(self) -> tuple[int | None, str] | None:
        """Code and reason of the Close that was written; None: there was none. Code None: it was empty."""
        for opcode, payload in frames_in(self.transport.written):
            if opcode == 8:
                return (int.from_bytes(payload[:2], "big") if payload else None), payload[2:].decode()
        return None

    def types_until_close(self) -> list[str]:
        """The types of the ext messages heard since the last call; the last frame of all must be the Close."""
        frames = self.frames()
        assert [opcode for opcode, _ in frames].index(8) == len(frames) - 1, frames
        return [json.loads(payload)["type"] for opcode, payload in frames if opcode == 1]

    def event(self, *events: object) -> None:
        """Control events of the socket (``Ping``, ``CloseReceived`` …); then everything settles."""
        self.session.connection.deliver(list(events))
        self._world.settle()

    def errors(self) -> list[tuple[str, int | None]]:
        """Code and seq of each ``sys.error`` heard since the last call; nothing else may have been heard."""
        heard = self.heard()
        found = [one for one in heard if isinstance(one, dict) and one["type"] == "error"]
        assert len(found) == len(heard), heard
        return [(one["data"]["code"], one.get("seq")) for one in found]

    def abort(self) -> None:
        """As the sweeper drops a socket."""
        self.transport.abort()

    def vanish(self) -> None:
        """The socket is gone."""
        self.outlet.lost()
        self.event(TransportLost("gone"))

    def types(self) -> list[str]:
        """The types of the ext messages heard since the last call."""
        return [one["type"] for one in self.heard() if isinstance(one, dict)]

    def join(self, room: str) -> None:
        self.say({"v": 1, "svc": "room", "type": "join", "room": room})

    def chat(self, text: str, **fields: Any) -> None:
        self.say({"v": 1, "svc": "chat", "type": "send", "data": {"msg": text}, **fields})


class Holding(Pacer):
    """Holds every slice for 10 ms, as under load."""

    def next_start(self, now: float) -> float:  # noqa: ARG002 (the pacer's signature)
        return 0.01


class World:
    """One tenant, ``settings`` merged over defaults that allow everything."""

    def __init__(
        self,
        authenticator: Authenticator | None = None,
        scheduler: Any = None,
        ext: Mapping[str, ExtService] | None = None,
        hot: Mapping[int, HotService] | None = None,
        pacer: Pacer | None = None,
        sampler: Sampler | None = None,
        prepare: Callable[[TenantContext], object] = lambda _: None,
        **settings: Any,
    ) -> None:
        self.scheduler: Any = scheduler or ManualScheduler()
        self.failures: list[Exception] = []
        self.system = ActorSystem(self.scheduler, on_failure=lambda _, error: self.failures.append(error))
        self.stalled: list[Outlet] = []
        self.flusher = Flusher(
            self.scheduler,
            pacer or Pacer(share=1),
            stall_timeout_s=1.5,
            on_stall=self._stall,
            soon=self.system.after_turns,
        )
        policy = {
            "ext_allowlist": ["room:*", "chat:*", "crash:*"],
            "hot_allowlist": ["1:*", "2:*"],
            "rate_limit_burst": 10**6,
        }
        policy |= {"sessions": {"max_sessions_per_user": 0}} | settings.pop("policy", {})
        model = TenantSettings.model_validate({"id": "t", "policy": policy, **settings})
        self.services = ServiceRegistry(
            {"room": RoomService(), "chat": ChatService("chat"), **(ext or {})},
            {1: EchoService(), 2: RelayService(), **(hot or {})},
        )
        rules = compile_rules(model, self.services)
        now = self.scheduler.now
        store = MemoryRoomStore(now)
        self.tenant = TenantContext(
            "t", rules, authenticator or Nobody(), now, unix_now=now, sampler=sampler, store=store
        )
        prepare(self.tenant)
        self.gateway = self.system.spawn(lambda: Gateway([self.tenant], self.flusher), name="gateway")

    def _stall(self, outlet: Outlet) -> None:
        self.stalled.append(outlet)
        outlet.give_up("no progress")

    def settle(self) -> None:
        """Run everything that is due now."""
        self.scheduler.run_until_idle()

    async def ask(
        self,
        user: str = "u",
        sid: str | None = None,
        wire: WireFormat | None = None,
        trace: ConnectionTrace | None = None,
        **principal: Any,
    ) -> Any:
        """Ask the tenant for a session; what it answers."""
        question = OpenSession(
            Principal(user, **principal),
            sid,
            wire or wire_format(JSON, deflated=False),
            "f" * 32,
            "::1",
            origin="https://game.example",
            user_agent="browser",
            trace=trace,
        )
        return await self.call(question)

    async def call(self, question: object) -> Any:
        """Ask the tenant; what it answers, and everything that follows has settled."""
        answer = asyncio.ensure_future(self.tenant.ref.ask(question, 5.0))
        await asyncio.sleep(0)
        self.settle()
        return await answer

    async def connect(self, user: str = "u", sid: str | None = None, **options: Any) -> Peer:
        """A connected client; its first message is still to be heard."""
        opened = await self.ask(user, sid, **options)
        assert not isinstance(opened, Denied), opened
        return self.attach(opened.session)

    def attach(self, session: Session) -> Peer:
        peer = Peer(self, session)
        session.connection.deliver([Attached(peer.transport)])
        self.settle()
        return peer

    def connections(self) -> int:
        return sum(1 for _ in self.tenant.registry)


def _is_map(payload: bytes) -> bool:
    return payload[:1] in (b"\xde", b"\xdf") or payload[:1] in {bytes([one]) for one in range(0x80, 0x90)}


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """Unmasked server frames: opcode and payload of each."""
    frames = []
    at = 0
    while at < len(data):
        opcode, length = data[at] & 0x0F, data[at + 1]
        at += 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        frames.append((opcode, data[at : at + length]))
        at += length
    return frames
