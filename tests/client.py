"""A WebSocket client for tests: both lanes, over any connected aiohttp WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

__all__ = ["Client", "connect_url", "until"]

TIMEOUT_S = 30.0


def connect_url(base: str, tenant: str = "acme", ticket: str | None = "dev", **query: str) -> str:
    """The upgrade URL on ``base`` (``http://host:port``)."""
    pairs = {"tenant": tenant, **({"ticket": ticket} if ticket is not None else {}), **query}
    return f"{base}/v1/ws?" + "&".join(f"{key}={value}" for key, value in pairs.items())


class Client:
    """One connection. ``async with Client(base, ticket="dev:ann") as ann`` waits for ``sys.authed``."""

    def __init__(
        self, base: str, *, ticket: str = "dev", tenant: str = "acme", sid: str | None = None, **options: Any
    ) -> None:
        query = {"sid": sid} if sid is not None else {}
        self._url = connect_url(base, tenant, ticket, **query)
        self._options = options
        self._session = aiohttp.ClientSession()
        self.ws: aiohttp.ClientWebSocketResponse
        self.authed: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        await self.open()
        try:
            self.authed = await self.receive()
            assert self.authed["type"] == "authed", self.authed
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        try:
            self.ws = await self._session.ws_connect(self._url, autoping=False, max_msg_size=0, **self._options)
        except BaseException:
            await self._session.close()
            raise

    async def close(self) -> None:
        try:
            await self.ws.close()
        finally:
            await self._session.close()

    async def send(self, svc: str, type: str, data: Any = None, **fields: Any) -> None:
        """Send one ext message."""
        message = {"v": 1, "svc": svc, "type": type, **fields}
        if data is not None:
            message["data"] = data
        await self.ws.send_str(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """The next ext message; pings are passed over."""
        frame = await self.receive_frame()
        assert frame.type is aiohttp.WSMsgType.TEXT, frame
        message = json.loads(frame.data)
        assert isinstance(message, dict)
        return message

    async def receive_hot(self) -> bytes:
        """The next hot frame."""
        frame = await self.receive_frame()
        assert frame.type is aiohttp.WSMsgType.BINARY, frame
        assert isinstance(frame.data, bytes)
        return frame.data

    async def receive_frame(self) -> aiohttp.WSMessage:
        """The next frame of any kind but ping and pong."""
        while True:
            frame = await self.ws.receive(timeout=TIMEOUT_S)
            if frame.type not in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
                return frame

    async def join(self, room: str, **fields: Any) -> dict[str, Any]:
        """Join a room and return ``sys.joined``."""
        await self.send("room", "join", room=room, **fields)
        return await self.receive()

    async def expect_error(self, code: str) -> dict[str, Any]:
        """The next message must be ``sys.error`` with this code."""
        message = await self.receive()
        assert (message["svc"], message["type"], message["data"]["code"]) == ("sys", "error", code), message
        return message

    async def expect_silence(self, for_s: float = 0.1) -> None:
        """Nothing but pings may come: a round trip of sys.ping shows it."""
        del for_s
        await self.send("sys", "ping", {"probe": 1})
        message = await self.receive()
        assert message["type"] == "pong", message

    async def expect_close(self) -> tuple[int | None, str]:
        """Read up to the Close; its code and reason."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                frame = await self.ws.receive()
                if frame.type is aiohttp.WSMsgType.CLOSE:
                    return frame.data, frame.extra or ""
                if frame.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR):
                    return self.ws.close_code, ""


async def until(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until ``condition()`` holds; the loop runs on in between."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (the condition is the gateway's own state: nothing signals it)
            await asyncio.sleep(0.001)
