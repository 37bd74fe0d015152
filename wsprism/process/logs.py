"""How log records look: one line of JSON for machines, aligned text for a terminal.

Components log through the standard ``logging`` with fields in ``extra``. Set up once, by the CLI.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from wsprism.process.log_writer import LineWriter

__all__ = [
    "ConsoleFormatter",
    "JsonFormatter",
    "add_to_all_records",
    "configure_logging",
    "log_what_nobody_caught",
    "printable",
]

Component = TypeVar("Component", bound=str)

_LEVEL_COLORS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31"}
_SHOWN_OF_A_TRACE: Final = 8
_NEEDS_NO_QUOTES: Final = re.compile(r'[^\s"=]+').fullmatch
_OWN_ATTRIBUTES: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """``timestamp`` (UTC), ``level``, ``logger``, ``message``, the fields of ``extra``, and any ``exception``.

    Every character that could break a line is escaped, so that nobody writes lines of their own into a log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN_ATTRIBUTES:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return self._encode(line).decode()
        except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot say
            return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """Time, level, component, message and fields in columns, for people.

    Whatever is not printable is escaped: no name of a user, session or room can write a line of its own, colour or
    overwrite one, or turn the direction of writing around. A traceback's lines are set off by a bar.
    """

    def __init__(self, *, colors: bool) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        component = record.name.removeprefix("wsprism.")
        line = " ".join(
            (
                self._paint(self.formatTime(record, self.datefmt), "2"),
                self._paint(f"{level:8}", _LEVEL_COLORS.get(level, "1;31")),
                self._paint(f"{printable(component):12}", "34"),
                self._paint(f"{printable(record.getMessage()):28}", "1"),
                *(
                    f"{self._paint(name, '36')}={_value(_shortened(name, value))}"
                    for name, value in record.__dict__.items()
                    if name not in _OWN_ATTRIBUTES
                ),
            )
        ).rstrip()
        if record.exc_info:
            line += "".join(f"\n  | {printable(one)}" for one in self.formatException(record.exc_info).splitlines())
        return line

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colors else text


def printable(text: str) -> str:
    """``text`` with every control, format and other invisible character escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _shortened(name: str, value: object) -> object:
    """Enough to tell traces apart on one screen; the JSON has all of it."""
    if name == "trace_id" and isinstance(value, str) and len(value) > _SHOWN_OF_A_TRACE:
        return value[:_SHOWN_OF_A_TRACE] + "…"
    return value


def _value(value: object) -> str:
    text = str(value)
    return printable(text) if _NEEDS_NO_QUOTES(text) else json.dumps(text, ensure_ascii=not text.isprintable())


def add_to_all_records(name: str, value: object) -> None:
    """A field of every record of this process from now on."""
    make = logging.getLogRecordFactory()

    def with_field(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.__dict__[name] = value
        return record

    logging.setLogRecordFactory(with_field)


def log_what_nobody_caught() -> None:
    """Let the log have what the interpreter would print on standard error: a log in JSON has no other lines."""
    log = logging.getLogger("wsprism.gateway")

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("an exception that nobody caught", exc_info=(kind, error, trace))

    def in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None:
            on_exception(told.exc_type, told.exc_value, told.exc_traceback)

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        if told.exc_value is not None:
            on_exception(told.exc_type, told.exc_value, told.exc_traceback)

    sys.excepthook, threading.excepthook, sys.unraisablehook = on_exception, in_thread, unraisable
    logging.captureWarnings(True)


def configure_logging(format: str, level: str, levels: Mapping[Component, str]) -> bool:
    """Send every record to standard error, without waiting for who reads it. Returns whether the lines are JSON.

    ``format`` is ``json``, ``console`` or ``auto`` (console on a terminal); ``levels`` gives components
    (``connection``, ``tenant``, ``http`` ...) their own level. May be called again: what waits to be written stays.
    """
    on_terminal = sys.stderr.isatty()
    as_json = format == "json" or (format == "auto" and not on_terminal)
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, LineWriter) and one.stream is sys.stderr), None)
    handler = handler or LineWriter(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else ConsoleFormatter(colors=on_terminal))
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in list(root.manager.loggerDict):
        if name.startswith("wsprism."):
            logger = logging.getLogger(name)
            logger.setLevel(logging.NOTSET)
            logger.findCaller = _nowhere  # type: ignore[method-assign]
    for component, component_level in levels.items():
        logging.getLogger(f"wsprism.{component}").setLevel(component_level.upper())
    # Nothing shows them, nor whence our own lines come, and a connection's two records cost half without.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return as_json


def _nowhere(stack_info: bool = False, stacklevel: int = 1) -> tuple[str, int, str, str | None]:  # noqa: ARG001
    """In place of ``Logger.findCaller``: no formatter of ours shows the place in the code."""
    return "", 0, "", None
