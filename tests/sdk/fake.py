"""A scripted gateway: it speaks the protocol, and says exactly what a test wants, when it wants it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMessage, WSMsgType, web

__all__ = ["Connection", "FakeGateway"]

WAIT_S = 40.0


class Connection:
    """One accepted client."""

    def __init__(self, request: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        self.query = dict(request.query)
        self.protocols = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        self.at = time.monotonic()
        self.close_code: int | None = None
        self._header = request.headers.get("Authorization", "")
        self._socket = socket
        self._transport = request.transport
        self._incoming: asyncio.Queue[dict[str, Any] | bytes] = asyncio.Queue()
        self._over = asyncio.Event()
        self._goodbye: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    @property
    def ticket(self) -> str:
        """Wherever it stands."""
        if self._header.startswith("Bearer "):
            return self._header.removeprefix("Bearer ")
        for entry in self.protocols:
            if entry.startswith("ticket."):
                text = entry.removeprefix("ticket.")
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        return self.query["ticket"]

    async def authed(self, **data: Any) -> Self:
        """Let it in."""
        sid = self.query.get("sid", "s1")
        await self.say(
            "sys", "authed", data={"tenant": "acme", "user": "user:ann", "sid": sid, "expires_at": None} | data
        )
        return self

    async def say(self, svc: str, type: str, **fields: Any) -> None:
        await self._socket.send_str(json.dumps({"v": 1, "svc": svc, "type": type, **fields}))

    async def raw(self, data: str | bytes) -> None:
        """Anything."""
        await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))

    async def heard(self, svc: str | None = None, type: str | None = None) -> dict[str, Any]:
        """The next envelope, which must be of this service and type; pings between are left out."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self._incoming.get()
                assert isinstance(message, dict), message
                if message["type"] == "ping" and type != "ping":
                    continue
                assert svc in (None, message["svc"]), message
                assert type in (None, message["type"]), message
                return message

    async def heard_frame(self) -> bytes:
        """The next message, which must be a hot frame."""
        async with asyncio.timeout(WAIT_S):
            frame = await self._incoming.get()
        assert isinstance(frame, bytes), frame
        return frame

    def nothing_heard(self) -> bool:
        """Whether nothing is there that no test has taken."""
        return self._incoming.empty()

    async def joined(self, room: str, **data: Any) -> dict[str, Any]:
        """Answer the next message, a ``room.join``, and return it."""
        join = await self.heard("room", "join")
        assert join["room"] == room
        await self.say("sys", "joined", room=room, seq=join["seq"], data=data)
        return join

    async def ack(self, message: dict[str, Any], **data: Any) -> None:
        await self.say("sys", "ack", seq=message["seq"], **({"data": data} if data else {}))

    async def refuse(self, message: dict[str, Any], code: str, **data: Any) -> None:
        await self.say("sys", "error", seq=message["seq"], data={"code": code, "msg": "so says the test", **data})

    async def close(self, code: int, reason: str = "") -> None:
        self._goodbye.set_result((code, reason))
        await self._over.wait()

    def half_said(self, data: bytes) -> None:
        """Bytes that are no whole frame, past the WebSocket."""
        assert self._transport is not None
        self._transport.write(data)

    def cut(self) -> None:
        """Reset it."""
        assert self._transport is not None
        self._transport.abort()

    async def over(self) -> int | None:
        """Wait for its end; the close code."""
        async with asyncio.timeout(WAIT_S):
            await self._over.wait()
        return self.close_code

    async def _next(self) -> WSMessage | None:
        """What comes; None when a Close was wanted first, and both sides have said it then.

        Closed while it is read in another task, aiohttp's socket would not wait for the peer's Close.
        """
        receiving = asyncio.ensure_future(self._socket.receive())
        try:
            await asyncio.wait((receiving, self._goodbye), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not receiving.done():
                receiving.cancel()
                await asyncio.wait((receiving,))
        if not receiving.cancelled():
            return receiving.result()
        code, reason = await self._goodbye
        await self._socket.close(code=code, message=reason.encode())
        return None

    async def run(self) -> None:
        """Read until the end."""
        try:
            while (message := await self._next()) is not None:
                if message.type is WSMsgType.TEXT:
                    self._incoming.put_nowait(json.loads(message.data))
                elif message.type is WSMsgType.BINARY:
                    self._incoming.put_nowait(message.data)
                else:
                    break
        finally:
            self.close_code = self._socket.close_code
            self._over.set()


class FakeGateway:
    """``async with FakeGateway() as fake``; ``await fake.client()`` is the next client that connects."""

    def __init__(self) -> None:
        self.port = 0
        self.attempts: list[float] = []
        self._refusals: list[tuple[int, dict[str, str]]] = []
        self._accepted: asyncio.Queue[Connection] = asyncio.Queue()
        self._runner: web.ServerRunner
        self._open: set[Connection] = set()

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._serve))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for connection in list(self._open):
            connection.cut()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def refuse_next(self, status: int, **headers: str) -> None:
        """Answer the next handshake with this status; underscores of headers are hyphens."""
        self._refusals.append((status, {name.replace("_", "-"): value for name, value in headers.items()}))

    async def client(self) -> Connection:
        """The next client."""
        async with asyncio.timeout(WAIT_S):
            return await self._accepted.get()

    async def authed(self, **data: Any) -> Connection:
        """The next client, let in."""
        return await (await self.client()).authed(**data)

    async def let_all_in(self) -> None:
        """Every client that comes, also one that has given up meanwhile, until cancelled."""
        while True:
            with contextlib.suppress(ConnectionError):
                await (await self._accepted.get()).authed()

    def nobody_came(self) -> bool:
        """Whether nobody is there that no test has taken."""
        return self._accepted.empty()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.attempts.append(time.monotonic())
        if self._refusals:
            status, headers = self._refusals.pop(0)
            return web.json_response({"code": "X", "msg": "refused"}, status=status, headers=headers)
        socket = web.WebSocketResponse(protocols=("wsprism.v1", "wsprism.v1.msgpack"), max_msg_size=0)
        await socket.prepare(request)
        connection = Connection(request, socket)
        self._open.add(connection)
        self._accepted.put_nowait(connection)
        try:
            with contextlib.suppress(ConnectionError):
                await connection.run()
        finally:
            self._open.discard(connection)
        return socket
