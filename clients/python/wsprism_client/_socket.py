"""One attempt at a connection: ticket, handshake, frames, and how it ended. Knows no rooms and no retries."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar

import aiohttp

from wsprism_client._codes import Verdict, of_status
from wsprism_client._options import Options
from wsprism_client._wire import Codec

__all__ = ["ABNORMAL", "End", "Socket", "TicketFailed", "ask_ticket", "within"]

_T = TypeVar("_T")

ABNORMAL = 1006
_NO_CODE = 1005
_GOODBYE_S = 2.0


@dataclass(frozen=True)
class End:
    """Why a connection, or an attempt at one, is over. ``wait_s``: what the gateway asked for."""

    code: int
    reason: str
    verdict: Verdict
    wait_s: float | None = None


class TicketFailed(Exception):
    """The ticket function threw, took too long, or gave no string."""


async def within(work: Awaitable[_T], timeout_s: float) -> _T:
    """What ``asyncio.wait_for`` is, but a cancellation is never lost: before Python 3.12 it is when ``work`` is done in
    the same moment. ``work`` that was cancelled by others is late, and no cancellation of ours. Raises
    asyncio.TimeoutError."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=timeout_s)
        if not task.done() or task.cancelled():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))


async def ask_ticket(options: Options) -> str:
    """The ticket for one attempt. Raises TicketFailed."""
    if isinstance(options.ticket, str):
        return options.ticket
    try:
        ticket = options.ticket()
        if inspect.isawaitable(ticket):
            ticket = await within(ticket, options.connect_timeout_s)
    except Exception as error:
        raise TicketFailed(str(error) or type(error).__name__) from error
    if not isinstance(ticket, str):
        raise TicketFailed("the ticket function must give a string")
    return ticket


class Socket:
    """``open`` it once, then ``read`` until it says how it ended."""

    def __init__(self, url: str, codec: Codec) -> None:
        self._url = url
        self._codec = codec
        self._http: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._writing: asyncio.Task[None] | None = None
        self._silent: str | None = None
        self.buffered_bytes = 0
        """What was handed over and has not left."""

    async def open(self, ticket: str) -> End | None:
        """The handshake: None, or how it was refused."""
        self._http = aiohttp.ClientSession()
        try:
            self._ws = await self._http.ws_connect(
                self._url,
                headers={"Authorization": f"Bearer {ticket}"},
                protocols=(self._codec.subprotocol,),
                max_msg_size=0,
                autoclose=False,
            )
        except aiohttp.WSServerHandshakeError as refused:
            wait_s = _retry_after_s(refused.headers.get("Retry-After") if refused.headers is not None else None)
            return End(refused.status, "the handshake was refused", of_status(refused.status), wait_s)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a ticket that fits no header
            return End(ABNORMAL, str(error) or type(error).__name__, Verdict.RECONNECT)
        self._writing = asyncio.get_running_loop().create_task(self._write())
        return None

    def send(self, message: str | bytes) -> None:
        """Hand over one message; it leaves in its order."""
        self.buffered_bytes += len(message)
        self._outgoing.put_nowait(message)

    async def read(self, received: Callable[[str | bytes], object]) -> tuple[int, str]:
        """Pass on what comes until the end: the close code and reason."""
        assert self._ws is not None
        while True:
            message = await self._ws.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                received(message.data)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                return message.data or _NO_CODE, message.extra or "the connection was closed"
            else:
                return ABNORMAL, self._silent or "the connection was lost"

    async def close(self, code: int | None) -> None:
        """Let go of everything, also when it is cancelled meanwhile; with a short goodbye where there is a code.
        Idempotent."""
        try:
            await self._say_goodbye(code)
        finally:
            http, self._http = self._http, None
            if http is not None:
                await http.close()

    async def _say_goodbye(self, code: int | None) -> None:
        if self._writing is not None:
            if code is not None and not self._outgoing.empty():
                await asyncio.wait((self._writing,), timeout=0.05)
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
        ws, self._ws = self._ws, None
        if ws is not None and code is not None:
            with contextlib.suppress(asyncio.TimeoutError, aiohttp.ClientError, OSError):
                await within(ws.close(code=code), _GOODBYE_S)

    def abort(self, reason: str) -> None:
        """The other side is silent: have ``read`` return without its goodbye."""
        self._silent = reason
        connected = self._ws.get_extra_info("socket") if self._ws is not None else None
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

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
            self.buffered_bytes -= len(message)


def _retry_after_s(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (TypeError, ValueError):
        return None
