"""A client on a bare socket, for what no well-behaved library would do."""

from __future__ import annotations

import asyncio
from typing import Self

from tests.masked import KEY

__all__ = ["RawClient", "client_frame", "handshake"]

TIMEOUT_S = 30.0


def handshake(ticket: str, *, path: str = "/v1/ws", more: str = "") -> str:
    """A request to upgrade; ``more`` are whole header lines."""
    return (
        f"GET {path}?tenant=acme&ticket={ticket} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )


def client_frame(payload: bytes, opcode: int = 1, *, fin: bool = True, masked: bool = True, first: int = 0) -> bytes:
    """One client frame; ``first`` sets further bits of the first byte."""
    head = bytes([(0x80 if fin else 0) | opcode | first])
    size = len(payload)
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65536:
        head += bytes([mask_bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([mask_bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + KEY + bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))


class RawClient:
    """Upgraded, with ``sys.authed`` read already."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, ticket: str = "dev", behind: bytes = b"") -> Self:
        """``behind`` is sent in one piece with the handshake."""
        client = await cls.upgrade(port, ticket=ticket, behind=behind)
        try:
            assert b'"authed"' in (await client.frame())[1]
        except BaseException:
            client.abort()
            raise
        return client

    @classmethod
    async def upgrade(
        cls, port: int, path: str = "/v1/ws", *, ticket: str = "dev", behind: bytes = b"", deflate: bool = False
    ) -> Self:
        """Upgraded, with nothing read yet. ``deflate`` offers compression."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        more = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
        client = cls(reader, writer)
        client.send(handshake(ticket, path=path, more=more).encode() + behind)
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
            assert head.startswith(b"HTTP/1.1 101 "), head
        except BaseException:
            client.abort()
            raise
        return client

    async def frame(self, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
        """The next server frame: opcode and payload; pings are passed over."""
        async with asyncio.timeout(timeout_s):
            while True:
                first, payload = await self.whole_frame()
                if first & 0x0F != 9:
                    return first & 0x0F, payload

    async def whole_frame(self) -> tuple[int, bytes]:
        """The next server frame: its first byte and payload."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """Read up to the Close and return its code."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")

    async def ended(self) -> None:
        """Return once the server has ended the connection."""
        async with asyncio.timeout(TIMEOUT_S):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    def abort(self) -> None:
        self.writer.transport.abort()
