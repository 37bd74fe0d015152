"""A backend for tests that connects by itself: a stream over a real socket, in either encoding."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from tests.api import ADMIN

__all__ = ["STREAM", "Stream", "stream_url"]

TIMEOUT_S = 30.0
STREAM = {"stream": True, "timeout_ms": 30_000}
"""A tenant's ``backend`` that connects by itself."""


def stream_url(internal: str, tenant: str = "acme") -> str:
    """Where a stream of ``tenant`` is opened."""
    return f"{internal}/v1/tenants/{tenant}/stream"


class Stream:
    """``async with Stream(internal) as backend``; ``internal`` is the base of the internal listener."""

    def __init__(
        self, internal: str, *, tenant: str = "acme", key: str | None = ADMIN, msgpack: bool = False, **options: Any
    ) -> None:
        self._url = stream_url(internal, tenant)
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.msgpack = msgpack
        self._options = {"protocols": ["wsprism.backend.v1.msgpack" if msgpack else "wsprism.backend.v1"]} | options
        self._session = aiohttp.ClientSession()
        self.ws: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> Self:
        try:
            self.ws = await self._session.ws_connect(
                self._url, headers=self._headers, max_msg_size=0, autoping=False, **self._options
            )
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        try:
            await self.ws.close()
        finally:
            await self._session.close()

    def drop(self) -> None:
        """Go without a word."""
        assert self.ws._response.connection is not None
        transport = self.ws._response.connection.transport
        assert transport is not None
        transport.abort()

    async def say(self, message: Any) -> None:
        """One message in this stream's encoding."""
        if self.msgpack:
            await self.ws.send_bytes(msgspec.msgpack.encode(message))
        else:
            await self.ws.send_str(json.dumps(message))

    async def say_hot(self, number: int, frame: bytes) -> None:
        """A hot frame into the room with this number."""
        await self.ws.send_bytes((b"\xc1" if self.msgpack else b"") + number.to_bytes(4, "little") + frame)

    async def frame(self) -> aiohttp.WSMessage:
        """The next frame that is no ping or pong."""
        while True:
            frame = await self.ws.receive(timeout=TIMEOUT_S)
            if frame.type is aiohttp.WSMsgType.PING:
                await self.ws.pong(frame.data)
            elif frame.type is not aiohttp.WSMsgType.PONG:
                return frame

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        frame = await self.frame()
        if self.msgpack:
            assert frame.type is aiohttp.WSMsgType.BINARY, frame
            message = msgspec.msgpack.decode(frame.data)
        else:
            assert frame.type is aiohttp.WSMsgType.TEXT, frame
            message = json.loads(frame.data)
        assert isinstance(message, dict)
        return message

    async def question(self, kind: str) -> dict[str, Any]:
        """The next message, which must be a question (or news) of this kind; what is said of rooms is passed over."""
        while (heard := await self.hear())["kind"] == "rooms" and kind != "rooms":
            pass
        assert heard["kind"] == kind, heard
        return heard

    async def hear_hot(self) -> tuple[int, str, bytes]:
        """The next hot frame: the room's number, the user and the frame. Other messages are passed over."""
        while True:
            frame = await self.frame()
            raw = frame.data
            if frame.type is aiohttp.WSMsgType.TEXT or (self.msgpack and raw[0] != 0xC1):
                continue
            assert frame.type is aiohttp.WSMsgType.BINARY, frame
            raw = raw[1:] if self.msgpack else raw
            end = 5 + raw[4]
            return int.from_bytes(raw[:4], "little"), raw[5:end].decode(), raw[end:]

    async def expect_close(self) -> tuple[int | None, str]:
        """Read up to the Close; its code and reason."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                frame = await self.ws.receive()
                if frame.type is aiohttp.WSMsgType.CLOSE:
                    return frame.data, frame.extra or ""
                if frame.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR):
                    return self.ws.close_code, ""
