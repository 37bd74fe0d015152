"""Takes an accepted WebSocket away from aiohttp's HTTP machinery, so that a connection costs one small object.

aiohttp reads the request; after the 101 the socket's transport gets the ``Link`` as its protocol
(``asyncio.Transport.set_protocol``) and aiohttp's request handler, its parser and its tasks are let go. Every name used
here is public, but the combination is not documented by aiohttp: a test watches it, and when a name is missing the
handler stays and passes the bytes on, which costs memory and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from wsprism.transport.websocket.link import Link

__all__ = ["TakenOver", "can_detach", "hand_over", "release", "take_over"]


class TakenOver(web.StreamResponse):
    """The response of a request whose socket is no longer aiohttp's: there is nothing left to send."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        return None

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002
        return None


class _Rest:
    """Stands in as aiohttp's payload parser just long enough to get what came behind the handshake."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing is waiting for it."""


class _Relay:
    """The fallback: aiohttp stays the protocol and this parser passes on what it reads."""

    def __init__(self, link: Link, ended: asyncio.Future[None]) -> None:
        self._link = link
        self._ended = ended

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._link.data_received(data)
        return False, b""

    def feed_eof(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def can_detach(protocol: Any, transport: Any) -> bool:
    """Whether aiohttp and the transport are as ``take_over`` knows them."""
    return (
        hasattr(transport, "set_protocol") and hasattr(protocol, "transport") and hasattr(protocol, "connection_lost")
    )


def hand_over(protocol: Any, transport: asyncio.Transport, successor: asyncio.BaseProtocol) -> None:
    """Have ``successor`` hear the socket from here on; aiohttp's ``protocol`` lets go of it."""
    transport.set_protocol(successor)
    protocol.transport = None
    protocol.connection_lost(None)


def release(request: web.BaseRequest, successor: asyncio.BaseProtocol) -> bytes:
    """Have ``successor`` hear the socket of a request that nothing was said to yet; what came behind the request."""
    protocol: Any = request.protocol
    transport = request.transport
    assert transport is not None
    rest = _Rest()
    protocol.set_parser(rest)
    hand_over(protocol, transport, successor)
    return rest.data


async def take_over(request: web.BaseRequest, link: Link, response_head: bytes) -> web.StreamResponse:
    """Answer the upgrade with ``response_head`` and hand the socket to ``link``.

    Returns the response to return to aiohttp. Raises ConnectionResetError when the client is gone already; ``link`` is
    then never attached.
    """
    protocol: Any = request.protocol
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    transport.pause_reading()
    transport.write(response_head)
    if not can_detach(protocol, transport):
        return await _relay(protocol, transport, link)
    rest = release(request, link)
    link.attach(transport)
    if rest:
        link.data_received(rest)
    link.read()
    return TakenOver()


async def _relay(protocol: Any, transport: asyncio.Transport, link: Link) -> web.StreamResponse:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    link.attach(transport, polled=True)
    protocol.set_parser(_Relay(link, ended))
    link.read()
    protocol.keep_alive(False)
    try:
        await ended
    finally:
        link.connection_lost(None)
    return TakenOver()
