"""Events of which not all is known yet, and those that happened since: told in their order, once it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wsprism.protocol.backend import SessionFacts, event_body

__all__ = ["HeldNews", "NewsEvent"]


@dataclass(slots=True)
class NewsEvent:
    """``time`` is when it happened."""

    type: str
    time: str
    session: SessionFacts | None
    fields: Mapping[str, Any]
    known: bool = True
    size_bytes: int = 0

    def body(self, seq: int) -> bytes:
        """As the backend is told."""
        return event_body(seq, self.type, self.time, self.session, self.fields)


class HeldNews:
    """``tell`` is told each. Beyond ``most`` or ``most_bytes`` the oldest is told as far as it is known."""

    def __init__(self, tell: Callable[[NewsEvent], object], most: int, most_bytes: int) -> None:
        self._tell = tell
        self._most = most
        self._most_bytes = most_bytes
        self._events: deque[NewsEvent] = deque()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: NewsEvent) -> None:
        """It happened behind all that are held."""
        event.size_bytes = len(event.body(0))
        self._size_bytes += event.size_bytes
        self._events.append(event)
        while len(self._events) > self._most or (self._size_bytes > self._most_bytes and len(self._events) > 1):
            self._events[0].known = True
            self._go_on()
        self._go_on()

    def add_unknown(self, event: NewsEvent) -> Callable[[Mapping[str, Any]], None]:
        """The same for one that is held itself, until what this gives is called with what is missing."""
        event.known = False
        self.add(event)

        def known(fields: Mapping[str, Any]) -> None:
            if not event.known:
                event.fields = {**event.fields, **fields}
                event.known = True
                self._go_on()

        return known

    def give_up(self) -> None:
        """Nothing more will be known."""
        for event in self._events:
            event.known = True
        self._go_on()

    def _go_on(self) -> None:
        while self._events and self._events[0].known:
            event = self._events.popleft()
            self._size_bytes -= event.size_bytes
            self._tell(event)
