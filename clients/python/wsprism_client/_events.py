"""Listeners by event name. One that throws is reported, and stops nothing. One that is async runs beside the client."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Emitter"]

Listener = Callable[[Any], object]


class Emitter:
    """``fault`` is told of a listener that threw."""

    def __init__(self, events: frozenset[str], fault: Callable[[Exception], None]) -> None:
        self._events = events
        self._listeners: dict[str, list[Listener]] = {}
        self._fault = fault
        self._running: set[asyncio.Future[object]] = set()

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

    def emit(self, event: str, value: Any, fault: Callable[[Exception], None] | None = None) -> bool:
        """Tell every listener of ``event``; whether there was one."""
        listeners = tuple(self._listeners.get(event, ()))
        for listener in listeners:
            try:
                result = listener(value)
                if inspect.isawaitable(result):
                    self._run(result, fault or self._fault)
            except Exception as error:
                (fault or self._fault)(error)
        return bool(listeners)

    def _run(self, result: Awaitable[object], fault: Callable[[Exception], None]) -> None:
        """To its end, whatever becomes of the client: what it began is its own."""
        running = asyncio.ensure_future(result)
        self._running.add(running)

        def ended(_: asyncio.Future[object]) -> None:
            self._running.discard(running)
            if not running.cancelled() and isinstance(error := running.exception(), Exception):
                fault(error)

        running.add_done_callback(ended)
