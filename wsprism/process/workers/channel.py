"""What a parent and a worker say to each other: one JSON object a line, over a pair of sockets.

Each has ``is``, which names it; fields that are not known are passed over, since a rolling restart puts workers of a
new version beside a parent of the old one. The end of the other side is the end of the channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any, Final

__all__ = ["Channel"]

_LONGEST_LINE_BYTES: Final = 64 * 1024 * 1024
"""A line may hold a whole configuration."""


class Channel:
    """``open``, then ``next`` until it is None."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Channel:
        """Over one of a pair, which it owns from now on."""
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=_LONGEST_LINE_BYTES))

    def say(self, what: str, **fields: Any) -> None:
        """Without waiting. To nobody it is said in vain."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps({"is": what, **fields}).encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Bytes that are no line, before the first one."""
        self._writer.write(data)

    async def next(self) -> dict[str, Any] | None:
        """What the other side says next; None: it has ended."""
        try:
            line = await self._reader.readline()
            said = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    async def close(self) -> None:
        """Idempotent."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
