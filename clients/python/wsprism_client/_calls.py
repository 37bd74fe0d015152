"""Messages that wait for an answer: publishes are sent again until they have one, requests are not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wsprism_client._errors import DISCONNECTED, QUEUE_FULL, WsPrismError

__all__ = ["Call", "Calls"]


@dataclass(eq=False)
class Call:
    """One message and whoever waits for its answer. ``again``: it is sent again after a reconnect."""

    message: dict[str, Any]
    size_bytes: int
    again: bool
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    seq: int | None = None


class Calls:
    """In the order in which they were made. Bounded while they are not sent; each ends exactly once."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._calls: OrderedDict[Call, None] = OrderedDict()
        self._by_seq: dict[int, Call] = {}
        self._unsent = 0
        self._unsent_bytes = 0

    def add(self, call: Call, *, sent: bool) -> None:
        """Raises WsPrismError QUEUE_FULL when it would wait and too much waits already."""
        if not sent:
            if self._unsent >= self._most or self._unsent_bytes + call.size_bytes > self._most_bytes:
                raise WsPrismError(QUEUE_FULL, "too much waits for a connection")
            self._unsent += 1
            self._unsent_bytes += call.size_bytes
        self._calls[call] = None

    def sent(self, call: Call, seq: int, *, waited: bool) -> None:
        """It has been handed to the socket under ``seq``."""
        if waited:
            self._unsent -= 1
            self._unsent_bytes -= call.size_bytes
        call.seq = seq
        self._by_seq[seq] = call

    def waiting(self) -> Iterator[Call]:
        """Those that have not been sent on this connection, in their order."""
        return (call for call in list(self._calls) if call.seq is None)

    def of_seq(self, seq: object) -> Call | None:
        """The one that was sent under ``seq``."""
        return self._by_seq.get(seq) if isinstance(seq, int) else None

    def end(self, call: Call, value: Any = None, error: WsPrismError | None = None) -> None:
        """Its answer is here. Nothing when it has ended already."""
        if call not in self._calls:
            return
        del self._calls[call]
        if call.seq is not None:
            self._by_seq.pop(call.seq, None)
        else:
            self._unsent -= 1
            self._unsent_bytes -= call.size_bytes
        if not call.answer.done():
            if error is None:
                call.answer.set_result(value)
            else:
                call.answer.set_exception(error)
                call.answer.exception()  # whoever waits has it; nobody may wait, and that is no fault

    def disconnected(self) -> None:
        """Those that are not sent again end; the others wait."""
        for call in list(self._calls):
            if call.seq is None:
                continue
            if not call.again:
                self.end(call, error=WsPrismError(DISCONNECTED, "the connection was lost before the answer"))
            else:
                self._by_seq.pop(call.seq, None)
                call.seq = None
                self._unsent += 1
                self._unsent_bytes += call.size_bytes

    def close(self, error: WsPrismError) -> None:
        """The end of all."""
        for call in list(self._calls):
            self.end(call, error=error)
