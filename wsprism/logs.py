"""How log records look: one line of JSON for machines, aligned text for a terminal.

Components log through the standard ``logging`` with fields in ``extra``. Set up once, by the CLI.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

__all__ = ["JsonFormatter", "configure_logging", "set_level"]

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


def configure_logging(format: str, level: str, levels: Mapping[str, str]) -> bool:
    """Send every record to standard error. Returns whether the lines are JSON.

    ``format`` is ``json``, ``console`` or ``auto`` (console on a terminal); ``levels`` gives components
    (``connection``, ``tenant``, ``http`` ...) their own level.
    """
    on_terminal = sys.stderr.isatty()
    as_json = format == "json" or (format == "auto" and not on_terminal)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else _console_formatter(colors=on_terminal))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in list(root.manager.loggerDict):
        if name.startswith("wsprism."):
            logging.getLogger(name).setLevel(logging.NOTSET)
    for component, component_level in levels.items():
        logging.getLogger(f"wsprism.{component}").setLevel(component_level.upper())
    # Nothing shows them, and a connection's two records cost a third less without them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return as_json


def set_level(component: str | None, level: str) -> bool:
    """Give a component its own level, or (None) all that have none. False: no component of this name logs."""
    name = f"wsprism.{component}"
    if component is not None and name not in logging.root.manager.loggerDict:
        return False
    (logging.getLogger() if component is None else logging.getLogger(name)).setLevel(level.upper())
    return True


def _console_formatter(*, colors: bool) -> logging.Formatter:
    # It brings rich with it: several MiB that a gateway with JSON logs does without.
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=colors),
        ],
    )
