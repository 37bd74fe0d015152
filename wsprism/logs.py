"""How log records look: one line of JSON for machines, aligned text for a terminal.

Components log through the standard ``logging`` with fields in ``extra``; structlog renders them. Set up by the CLI.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

import structlog

__all__ = ["configure_logging"]


def configure_logging(format: str, level: str, levels: Mapping[str, str]) -> None:
    """Send every record to standard error.

    ``format`` is ``json``, ``console`` or ``auto`` (console on a terminal); ``levels`` gives components
    (``connection``, ``tenant``, ``http`` ...) their own level.
    """
    on_terminal = sys.stderr.isatty()
    as_json = format == "json" or (format == "auto" and not on_terminal)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=on_terminal)
    )
    final: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        final += [structlog.processors.format_exc_info, structlog.processors.EventRenamer("message")]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[*final, renderer],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for component, component_level in levels.items():
        logging.getLogger(f"wsprism.{component}").setLevel(component_level.upper())
