"""A TCP proxy that does what networks do: cut, delay, stall, close halfway, refuse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]

_CHUNK_BYTES = 65_536


class Proxy:
    """``async with Proxy(port) as proxy`` forwards ``proxy.port`` to ``port`` of the loopback."""

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.port = 0
        self.accepted = 0
        self.delay_s = 0.0
        self._server: asyncio.Server
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._keeping = False
        self._links: set[asyncio.Task[None]] = set()
        self._writers: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        self.refuse()
        self.cut()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self, chosen: Callable[[int], bool] = lambda _: True) -> None:
        """Reset every connection, or those at the places that are ``chosen``, on both sides."""
        for place, pair in enumerate(list(self._writers)):
            if chosen(place):
                for writer in pair:
                    writer.transport.abort()

    def half_close(self) -> None:
        """End the direction from the server to the client of every connection, and keep the other."""
        for client, _ in self._writers:
            with contextlib.suppress(OSError):
                client.write_eof()

    def stall(self) -> None:
        """From now on nothing flows, on present and on new connections."""
        self._flowing.clear()

    def flow(self) -> None:
        """The end of a stall; what waited goes on."""
        self._flowing.set()

    def keep_answers(self, keeping: bool = True) -> None:
        """From now on nothing of what the server says arrives; what is kept when a connection is cut never does."""
        self._keeping = keeping

    def refuse(self, refusing: bool = True) -> None:
        """Reset every new connection at once, or do so no more."""
        self._refusing = refusing

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        pair = (writer, to_writer)
        self._writers.append(pair)
        try:
            await asyncio.gather(self._pump(reader, to_writer), self._pump(to_reader, writer, answers=True))
        finally:
            self._writers.remove(pair)
            to_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if answers and self._keeping:
                continue
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            if not writer.transport.is_closing():
                with contextlib.suppress(RuntimeError):  # this direction was ended by half_close
                    writer.write(chunk)
                    await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
