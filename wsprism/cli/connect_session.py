"""The connection of ``wsprism connect``: lines from standard input out, frames in, until one side closes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, assert_never

import aiohttp
import msgspec

from wsprism.cli import exits
from wsprism.cli.access import Access, RefusedError, open_socket
from wsprism.cli.connect_input import (
    HELP,
    Help,
    Mistake,
    Quit,
    SendBytes,
    SendExt,
    SendText,
    Wait,
    parse_line,
)
from wsprism.cli.connect_output import Record, closed_record, received_record, refused_record, sent_record

__all__ = ["Conversation"]

_STDIN = 0


class Conversation:
    """One connection. ``show`` gets every record in order, ``complain`` what a typed line did wrong.

    ``read_lines`` is told where to put what is typed (None at its end); unless it is given, standard input is read.

    It goes on for ``wait_ms`` after the last line of a script; a person ends it at once.
    """

    def __init__(
        self,
        access: Access,
        show: Callable[[Record], None],
        complain: Callable[[str], None],
        *,
        msgpack: bool,
        interactive: bool,
        wait_ms: int,
        read_lines: Callable[[asyncio.Queue[str | None]], None] | None = None,
    ) -> None:
        self._access = access
        self._show = show
        self._complain = complain
        self._msgpack = msgpack
        self._interactive = interactive
        self._wait_s = wait_ms / 1000
        self._read_lines = read_lines or _read_lines
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._stop = asyncio.Event()
        self._sent = 0
        self._mistakes = 0
        self._script_ended = False

    async def run(self) -> int:
        """Talk until either side ends it; the exit code. Raises OperatorError when nobody is there."""
        try:
            async with open_socket(self._access, msgpack=self._msgpack) as socket:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
                return await self._talk(socket)
        except RefusedError as error:
            self._show(refused_record(error.status, error.body, error.retry_after))
            return exits.FAILED

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> int:
        """Frames as they come; lines from the first frame on, so that a script speaks once it is let in."""
        receiving = asyncio.ensure_future(socket.receive())
        stopping = asyncio.ensure_future(self._stop.wait())
        line: asyncio.Future[str | None] | None = None
        try:
            while True:
                waits = {receiving, stopping} | ({line} if line is not None else set())
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if stopping in done:
                    break
                if receiving in done:
                    if not self._received(receiving.result(), socket):
                        return exits.OK if socket.close_code == 1000 else exits.FAILED
                    receiving = asyncio.ensure_future(socket.receive())
                    line = line or self._first_line()
                if line is not None and line in done:
                    following = await self._typed(line.result(), socket)
                    if following is None:
                        break
                    line = following
        finally:
            for task in (receiving, stopping, line):
                if task is not None:
                    task.cancel()
        await socket.close()
        self._show(closed_record(1000, ""))
        return exits.USAGE if self._mistakes and not self._interactive else exits.OK

    def _first_line(self) -> asyncio.Future[str | None]:
        self._read_lines(self._lines)
        return asyncio.ensure_future(self._lines.get())

    def _received(self, frame: aiohttp.WSMessage, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Show a frame. False when it was the last."""
        if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            self._show(received_record(frame.data, self._access.framing, msgpack=self._msgpack))
            return True
        reason = frame.extra if frame.type is aiohttp.WSMsgType.CLOSE else ""
        self._show(closed_record(socket.close_code, reason or ""))
        return False

    async def _typed(
        self, line: str | None, socket: aiohttp.ClientWebSocketResponse
    ) -> asyncio.Future[str | None] | None:
        """Do what a line asks for. What to wait for next; None: the conversation is over."""
        if line is None:
            if self._interactive or self._script_ended:
                return None
            self._script_ended = True
            return asyncio.ensure_future(_later(self._wait_s, None))
        action = parse_line(line, self._sent + 1, self._access.framing)
        match action:
            case None:
                pass
            case SendExt() | SendText() | SendBytes():
                self._sent += 1
                await self._send(action, socket)
            case Wait(wait_ms):
                return asyncio.ensure_future(_later(wait_ms / 1000, ""))
            case Help():
                self._complain(HELP)
            case Mistake(why):
                self._mistakes += 1
                self._complain(why)
            case Quit():
                return None
            case _:
                assert_never(action)
        return asyncio.ensure_future(self._lines.get())

    async def _send(self, action: SendExt | SendText | SendBytes, socket: aiohttp.ClientWebSocketResponse) -> None:
        sent: Any
        # A connection that is being closed takes nothing more; that it is closed is shown when the close comes.
        with contextlib.suppress(ConnectionError):
            match action:
                case SendExt(sent) if self._msgpack:
                    await socket.send_bytes(msgspec.msgpack.encode(sent))
                case SendExt(sent):
                    await socket.send_str(json.dumps(sent, ensure_ascii=False, separators=(",", ":")))
                case SendText(sent):
                    await socket.send_str(sent)
                case SendBytes(sent):
                    await socket.send_bytes(sent)
        if self._interactive:
            self._show(sent_record(sent))


async def _later(after_s: float, line: str | None) -> str | None:
    await asyncio.sleep(after_s)
    return line


def _read_lines(lines: asyncio.Queue[str | None]) -> None:
    """Standard input's lines into ``lines``, None at its end. A thread reads it: files cannot be polled."""
    loop = asyncio.get_running_loop()

    def put(line: str | None) -> bool:
        try:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return False
        return True

    def read() -> None:
        rest = b""
        # Not sys.stdin: its lock would be held by this thread when the interpreter ends.
        while chunk := os.read(_STDIN, 65536):
            *whole, rest = (rest + chunk).split(b"\n")
            if not all(put(line.decode(errors="replace")) for line in whole):
                return
        if rest:
            put(rest.decode(errors="replace"))
        put(None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
