"""A program in a pseudo-terminal, as a person has it: its screen's text, keys typed into it, its exit code."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sys
import termios
from collections.abc import Sequence
from types import TracebackType
from typing import Self

__all__ = ["Terminal"]

TIMEOUT_S = 60.0
_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the controlling terminal and Ctrl-C a signal, which whoever runs the tests may have set aside;
then becomes the command."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """``async with Terminal(["wsprism", "top"]) as terminal``; killed at the end if it still runs."""

    def __init__(self, command: Sequence[str], *, columns: int = 120, rows: int = 30, **env: str) -> None:
        self._command = command
        self._size = (rows, columns)
        inherited = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
        self._env = {**inherited, "TERM": "xterm-256color", **env}
        self._new = asyncio.Event()
        self._ended = asyncio.Event()
        self.raw = ""
        self._read_until = 0

    async def __aenter__(self) -> Self:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, self._size)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _TAKE_TERMINAL, *self._command,
            stdin=slave, stdout=slave, stderr=slave, env=self._env, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal any more
            chunk = b""
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._master)
            self._ended.set()
        self.raw += chunk.decode(errors="replace")
        self._new.set()

    @property
    def text(self) -> str:
        """What was printed so far, without colours and cursor movements."""
        return _ESCAPES.sub("", self.raw)

    async def expect(self, text: str) -> None:
        """Wait until ``text`` is printed, after what was expected before."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while (at := self.text.find(text, self._read_until)) < 0 and not self._ended.is_set():
                    self._new.clear()
                    await self._new.wait()
        except TimeoutError:
            at = -1
        assert at >= 0, f"{text!r} is not in:\n{self.text[self._read_until :]}"
        self._read_until = at + len(text)

    def type(self, keys: str) -> None:
        """Press keys; Ctrl-C is ``\\x03``, Ctrl-D ``\\x04``."""
        os.write(self._master, keys.encode())

    async def wait(self) -> int:
        """The exit code; everything that was printed has been read then."""
        async with asyncio.timeout(TIMEOUT_S):
            await self._ended.wait()
            return await self._process.wait()
