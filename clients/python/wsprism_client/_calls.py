"""Messages that wait for an answer: publishes are sent again until they have one, requests are not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from wsprism_client._errors import CLOSED, DISCONNECTED, QUEUE_FULL, TIMEOUT, WsPrismError
from wsprism_client._link import Link
from wsprism_client._wire import byte_length

__all__ = ["Call", "Calls"]


@dataclass(eq=False)
class Call:
    """One message and whoever waits for its answer. ``again``: it is sent again after a reconnect."""

    encoded: str | bytes
    """As it was when it was made, without its ``seq``."""
    size_bytes: int
    again: bool
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    seq: int | None = None


class Calls:
    """In the order in which they were made. Bounded while they are not sent; each ends exactly once."""

    def __init__(self, link: Link, most: int, most_bytes: int) -> None:
        self._link = link
        self._most = most
        self._most_bytes = most_bytes
        self._calls: OrderedDict[Call, None] = OrderedDict()
        self._by_seq: dict[int, Call] = {}
        self._unsent = 0
        self._unsent_bytes = 0

    def make(self, message: dict[str, Any], *, again: bool) -> Call:
        """Send it now, or when there is a connection. Raises WsPrismError QUEUE_FULL when too much waits already."""
        encoded = self._link.codec.encode(message)
        call = Call(encoded, byte_length(encoded), again)
        if not self._link.open:
            self._check_room(call)
        self._calls[call] = None
        self._count(call, 1)
        if self._link.open:
            self._send(call)
        return call

    async def answered(self, call: Call, timeout_s: float) -> Any:
        """Its answer. Raises WsPrismError: the gateway's, or TIMEOUT."""
        try:
            await asyncio.wait((call.answer,), timeout=timeout_s)
        except asyncio.CancelledError:
            self.end(call, error=WsPrismError(CLOSED, "nobody waits for it"))
            raise
        self.end(call, error=WsPrismError(TIMEOUT, "no answer in time"))
        return call.answer.result()

    def send_waiting(self) -> None:
        """Those that have not been sent on this connection, in their order."""
        for call in list(self._calls):
            if call.seq is None:
                self._send(call)

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
            self._count(call, -1)
        if not call.answer.done():
            if error is None:
                call.answer.set_result(value)
            else:
                call.answer.set_exception(error)
                call.answer.exception()  # whoever waits has it; nobody may wait, and that is no fault

    def lost(self) -> None:
        """Those that are not sent again end; the others wait."""
        for call in list(self._calls):
            if call.seq is None:
                continue
            if not call.again:
                self.end(call, error=WsPrismError(DISCONNECTED, "the connection was lost before the answer"))
            else:
                self._by_seq.pop(call.seq, None)
                call.seq = None
                self._count(call, 1)

    def close(self, error: WsPrismError) -> None:
        """The end of all."""
        for call in list(self._calls):
            self.end(call, error=error)

    def _send(self, call: Call) -> None:
        call.seq = self._link.next_seq()
        self._count(call, -1)
        self._by_seq[call.seq] = call
        self._link.send_encoded(self._link.codec.with_seq(call.encoded, call.seq))

    def _check_room(self, call: Call) -> None:
        if self._unsent >= self._most or self._unsent_bytes + call.size_bytes > self._most_bytes:
            raise WsPrismError(QUEUE_FULL, "too much waits for a connection")

    def _count(self, call: Call, by: int) -> None:
        self._unsent += by
        self._unsent_bytes += by * call.size_bytes
