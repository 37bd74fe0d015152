"""Writes log lines without making anybody wait: a full pipe or a stopped terminal must not stop the event loop.

Lines are formatted where they are logged and written by a thread of its own. What waits is bounded: when nobody reads,
the newest lines are lost, and their number is told as soon as there is room again.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from typing import Final, TextIO

__all__ = ["LineWriter"]

MOST_LINES: Final = 10_000
"""Lines that may wait: some 3 MB."""

CLOSE_TIMEOUT_S: Final = 1.0
"""How long the end of the process waits for them to be written."""

_BATCH: Final = 256
_PAUSE_S: Final = 0.005
"""Between two writes, so that lines gather: each time that the thread wakes it takes the interpreter from the loop."""


class LineWriter(logging.Handler):
    """A handler for ``stream``. Lines keep their order; each goes out whole."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._lines: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._lost = 0
        self._told_lost = 0
        self._stuck = False
        self._thread = threading.Thread(target=self._write_for_ever, name="wsprism-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() >= MOST_LINES:
            self._lost += 1
            return
        try:
            line = self.format(record)
        except (TypeError, ValueError, KeyError):  # arguments that do not fit their message
            line = self._misfit(record)
        self._lines.put(line + "\n")

    def _misfit(self, record: logging.LogRecord) -> str:
        """In place of the record: a log of JSON has no plain lines."""
        told = {"name": record.name, "levelno": logging.ERROR, "levelname": "ERROR", "exc_info": sys.exc_info()}
        return self.format(logging.makeLogRecord(told | {"msg": f"a log line's arguments do not fit: {record.msg!r}"}))

    def flush(self) -> None:
        """Wait until everything logged so far is written, or for ``CLOSE_TIMEOUT_S``."""
        if self._thread.is_alive():
            written = threading.Event()
            self._lines.put(written)
            self._stuck = not written.wait(CLOSE_TIMEOUT_S)

    def close(self) -> None:
        """``flush`` and stop the thread, if it can be stopped; idempotent."""
        if self._thread.is_alive():
            self._lines.put(None)
            self._thread.join(0 if self._stuck else CLOSE_TIMEOUT_S)
        super().close()

    def _write_for_ever(self) -> None:
        while True:
            batch = [self._lines.get()]
            while len(batch) < _BATCH and not self._lines.empty():
                batch.append(self._lines.get())
            self._write("".join(line for line in batch if isinstance(line, str)) + self._loss())
            for one in batch:
                if isinstance(one, threading.Event):
                    one.set()
            if None in batch:
                return
            time.sleep(_PAUSE_S)

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            pass  # the reader has gone: there is nobody to tell

    def _loss(self) -> str:
        lost = self._lost - self._told_lost
        if not lost or self._lines.qsize() >= MOST_LINES // 2:
            return ""
        self._told_lost += lost
        told = {"name": "wsprism.process.logs", "levelno": logging.WARNING, "levelname": "WARNING"}
        told |= {"msg": "log lines were lost: nobody read them in time", "lost": lost}
        return self.format(logging.makeLogRecord(told)) + "\n"
