"""Listeners by event name. One that throws is reported, and stops nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["Emitter"]

Listener = Callable[[Any], object]

_log = logging.getLogger("wsprism_client")


class Emitter:
    """``fault`` is told of a listener that threw."""

    def __init__(self, events: frozenset[str], fault: Callable[[Exception], None] | None = None) -> None:
        self._events = events
        self._listeners: dict[str, list[Listener]] = {}
        self._fault = fault or self._report

    def on(self, event: str, listener: Listener) -> None:
        """Have ``listener`` called with what happened. Raises ValueError for an unknown event."""
        if event not in self._events:
            raise ValueError(f"no such event: {event!r}; there are {', '.join(sorted(self._events))}")
        self._listeners.setdefault(event, []).append(listener)

    def off(self, event: str, listener: Listener) -> None:
        """Call it no more; nothing when it is not there."""
        listeners = self._listeners.get(event, [])
        if listener in listeners:
            listeners.remove(listener)

    def emit(self, event: str, value: Any) -> None:
        """Tell every listener of ``event``."""
        for listener in tuple(self._listeners.get(event, ())):
            try:
                listener(value)
            except Exception as error:
                self._fault(error)

    def hears(self, event: str) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners.get(event))

    def _report(self, error: Exception) -> None:
        """An ``error`` event; without a listener, or when that throws itself, a line in the log."""
        listeners = tuple(self._listeners.get("error", ()))
        if not listeners:
            _log.error("a listener failed", exc_info=error)
        for listener in listeners:
            try:
                listener(error)
            except Exception as another:
                _log.error("the listener of errors failed", exc_info=another)
