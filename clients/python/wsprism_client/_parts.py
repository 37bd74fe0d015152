"""The parts of a client, and which of them is told when a connection opens, is lost, or is over for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from wsprism_client._calls import Calls
from wsprism_client._errors import WsPrismError
from wsprism_client._events import Emitter
from wsprism_client._incoming import Incoming
from wsprism_client._life import Life
from wsprism_client._link import Link
from wsprism_client._options import Options
from wsprism_client._rooms import Rooms
from wsprism_client._watch import Watch
from wsprism_client._wire import Codec

__all__ = ["Parts"]

_EVENTS = frozenset({"state", "message", "hot", "error", "draining", "degraded"})

_log = logging.getLogger("wsprism_client")


class Parts:
    """``refresh`` hands over a new ticket. The ``Watcher`` of the client's life."""

    def __init__(self, url: str, options: Options, refresh: Callable[[], Coroutine[Any, Any, None]]) -> None:
        link = Link(Codec(options.format))
        self.events = Emitter(_EVENTS, self.fault)
        self.calls = Calls(link, options.queue_messages, options.queue_bytes)
        self.rooms = Rooms(link, options.backoff_base_s)
        self.watch = Watch(link, options, self._refresh_in_background)
        self.life = Life(url, options, link, self)
        self._incoming = Incoming(link.codec, self.life, self.calls, self.rooms, self.watch, self.events, self.fault)
        self._refresh = refresh
        self._refreshing: asyncio.Task[None] | None = None
        self._first_open: asyncio.Future[None] | None = None

    def start(self) -> asyncio.Future[None]:
        """What ends when it is open for the first time. Raises WsPrismError CLOSED."""
        self.life.start()
        if self._first_open is None:
            self._first_open = asyncio.get_running_loop().create_future()
        return self._first_open

    def fault(self, error: Exception) -> None:
        """An error that belongs to no call: told to whoever listens, else written."""
        if not self.events.emit("error", error, _write):
            _write(error)

    def received(self, raw: str | bytes) -> None:
        """A message came. Whatever it does, the next one is read."""
        try:
            self._incoming.receive(raw)
        except Exception as error:
            self.fault(error)

    def opened(self, session: dict[str, Any]) -> None:
        """Joins first, then what waited, in its order."""
        self.watch.start(session["expires_at"])
        self.rooms.join_all()
        self.calls.send_waiting()
        if self._first_open is not None and not self._first_open.done():
            self._first_open.set_result(None)

    def ending(self) -> None:
        """The connection is over."""
        self.watch.stop()

    def lost(self) -> None:
        """It is gone."""
        self.watch.stop()
        self.calls.lost()
        self.rooms.lost()

    def closed(self, error: WsPrismError) -> None:
        """The end of everything."""
        self.calls.close(error)
        self.lost()
        if self._first_open is not None and not self._first_open.done():
            self._first_open.set_exception(error)
            self._first_open.exception()  # whoever waits has it; nobody may wait, and that is no fault
        self.rooms.close()
        if self._refreshing is not None:
            self._refreshing.cancel()

    def moved(self, told: dict[str, Any]) -> None:
        """The state is another."""
        self.events.emit("state", told)

    def _refresh_in_background(self) -> None:
        self._refreshing = asyncio.get_running_loop().create_task(self._refresh_quietly())

    async def _refresh_quietly(self) -> None:
        try:
            await self._refresh()
        except WsPrismError as error:
            if self.life.state == "open":
                self.fault(error)


def _write(error: Exception) -> None:
    _log.error("%s", error, exc_info=error)
