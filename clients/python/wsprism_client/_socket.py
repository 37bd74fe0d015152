"""One attempt at a connection: ticket, handshake, frames in and out, and how it ended. Knows no rooms and no retries."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import aiohttp

from wsprism_client._codes import Verdict, of_close, of_status
from wsprism_client._options import Options, address
from wsprism_client._wire import Codec

__all__ = ["End", "Socket", "TicketFailed", "ask_ticket"]

_ABNORMAL = 1006


@dataclass(frozen=True)
class End:
    """Why a connection, or an attempt at one, is over. ``wait_s``: what the gateway asked for."""

    code: int
    reason: str
    verdict: Verdict
    wait_s: float | None = None


class TicketFailed(Exception):
    """The ticket function threw, took too long, or gave no string."""


async def ask_ticket(options: Options) -> str:
    """The ticket for one attempt. Raises TicketFailed."""
    if isinstance(options.ticket, str):
        return options.ticket
    try:
        ticket = options.ticket()
        if inspect.isawaitable(ticket):
            ticket = await asyncio.wait_for(ticket, options.connect_timeout_s)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        raise TicketFailed(str(error) or type(error).__name__) from error
    if not isinstance(ticket, str):
        raise TicketFailed("the ticket function must give a string")
    return ticket


class Socket:
    """``open`` it once, then ``read`` until it says how it ended."""

    def __init__(self, url: str, options: Options, codec: Codec) -> None:
        self._url = address(url, options)
        self._codec = codec
        self._http: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._writing: asyncio.Task[None] | None = None

    async def open(self, ticket: str) -> End | None:
        """The handshake: None, or how it was refused."""
        self._http = aiohttp.ClientSession()
        try:
            self._ws = await self._http.ws_connect(
                self._url,
                headers={"Authorization": f"Bearer {ticket}"},
                protocols=(self._codec.subprotocol,),
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),  # type: ignore[call-arg]
            )
        except aiohttp.WSServerHandshakeError as refused:
            wait_s = _retry_after_s(refused.headers.get("Retry-After") if refused.headers is not None else None)
            return End(refused.status, "the handshake was refused", of_status(refused.status), wait_s)
        except (aiohttp.ClientError, OSError) as error:
            return End(_ABNORMAL, str(error) or type(error).__name__, Verdict.RECONNECT)
        self._writing = asyncio.get_running_loop().create_task(self._write())
        return None

    def send(self, message: str | bytes) -> None:
        """Hand over one message; it leaves in its order."""
        self._outgoing.put_nowait(message)

    async def read(self, received: Callable[[str | bytes], Any]) -> End:
        """Pass on what comes until the end."""
        assert self._ws is not None
        authed = False
        try:
            async for message in self._ws:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    authed = received(message.data) is True or authed
        except (aiohttp.ClientError, OSError):
            pass
        code = self._ws.close_code
        if code is None or self._ws.exception() is not None:
            return End(_ABNORMAL, "the connection was lost", Verdict.RECONNECT)
        return End(code, "closed by the gateway", of_close(code, authed=authed))

    async def close(self, code: int = 1000) -> None:
        """Say goodbye, shortly, and let go of everything. Idempotent."""
        if self._writing is not None:
            if code == 1000:
                while not self._outgoing.empty() and not self._writing.done():
                    await asyncio.sleep(0)
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
        if self._ws is not None:
            ws, self._ws = self._ws, None
            try:
                await asyncio.wait_for(ws.close(code=code), 3.0)
            except (asyncio.TimeoutError, aiohttp.ClientError, OSError):
                pass
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()

    def abort(self) -> None:
        """The other side is silent: end without a goodbye."""
        if self._ws is not None:
            transport = self._ws.get_extra_info("transport") or self._transport()
            if transport is not None:
                transport.abort()

    def _transport(self) -> Any:
        response = getattr(self._ws, "_response", None)
        connection = getattr(response, "connection", None)
        return getattr(connection, "transport", None)

    async def _write(self) -> None:
        while True:
            message = await self._outgoing.get()
            assert self._ws is not None
            try:
                if isinstance(message, str):
                    await self._ws.send_str(message)
                else:
                    await self._ws.send_bytes(message)
            except (aiohttp.ClientError, OSError):
                return


def _retry_after_s(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (TypeError, ValueError):
        return None
