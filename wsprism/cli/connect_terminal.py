"""The terminal of ``wsprism connect``: what arrives is printed above the line that is being typed."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from wsprism.cli.line_editor import PROMPT, LineEditor

__all__ = ["Typing", "is_usable", "typing"]

_CLEAR_ROW = "\r\x1b[K"


def is_usable() -> bool:
    """Whether a line can be edited here: a person at a terminal that obeys more than text."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Typing:
    """The row with the prompt. It is shown from ``read`` on, and taken away for whatever is printed."""

    def __init__(self, take_keys: Callable[[], None]) -> None:
        self._take_keys = take_keys
        self._editor = LineEditor()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._keyboard = sys.stdin.fileno()
        self._is_shown = False

    def read(self, lines: asyncio.Queue[str | None]) -> None:
        """Put every whole line into ``lines``, None at the end of input."""
        loop = asyncio.get_running_loop()

        def keys() -> None:
            try:
                chunk = os.read(self._keyboard, 4096)
            except OSError:  # EIO: the terminal is gone
                chunk = b""
            if not chunk:
                loop.remove_reader(self._keyboard)
                lines.put_nowait(None)
                return
            for line in self._editor.feed(self._decoder.decode(chunk)):
                if line is not None:  # it stays on the screen, as on every terminal
                    self._write(f"{_CLEAR_ROW}{PROMPT}{line}\n")
                lines.put_nowait(line)
            self._draw()

        def again() -> None:
            self._take_keys()
            self._draw()

        loop.add_reader(self._keyboard, keys)
        loop.add_signal_handler(signal.SIGCONT, again)
        loop.add_signal_handler(signal.SIGWINCH, self._draw)
        self._is_shown = True
        self._draw()

    @contextlib.contextmanager
    def above(self) -> Iterator[None]:
        """What is printed meanwhile stands above the row."""
        if self._is_shown:
            self._write(_CLEAR_ROW)
        yield
        if self._is_shown:
            self._draw()

    def end(self) -> None:
        """Take the row away."""
        if self._is_shown:
            self._write(_CLEAR_ROW)
        self._is_shown = False

    def _draw(self) -> None:
        self._write(_CLEAR_ROW + self._editor.row(shutil.get_terminal_size().columns))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


@contextlib.contextmanager
def typing() -> Iterator[Typing]:
    """Keys come one by one and without echo; the terminal is put back after."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def take_keys() -> None:
        tty.setcbreak(keyboard, termios.TCSADRAIN)

    take_keys()
    row = Typing(take_keys)
    try:
        yield row
    finally:
        row.end()
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
