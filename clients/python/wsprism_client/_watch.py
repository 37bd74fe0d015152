"""Looks after an open connection: silence is ended by a ping, and a ticket is refreshed in time before its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from wsprism_client._link import Link
from wsprism_client._options import Options
from wsprism_client._wire import SEQ_PRESENT

__all__ = ["Watch"]

_MAX_REFRESH_LEAD_S = 30.0
_MIN_REFRESHED_S = 1.0
"""A ticket that was refreshed is not refreshed again sooner."""
_MAX_LOOK_S = 1.0
"""A refreshed ticket's end is seen so soon, at the latest."""


class Watch:
    """One task for each connection. ``refresh`` is called when it is time for it."""

    def __init__(self, link: Link, options: Options, refresh: Callable[[], object]) -> None:
        self.round_trip_s: float | None = None
        self._link = link
        self._options = options
        self._refresh = refresh
        self._heard_at = 0.0
        self._ping: tuple[int, float] | None = None
        self._refresh_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, expires_at: float | None) -> None:
        """The connection is open."""
        self.expires(expires_at)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """It is gone."""
        self._ping = None
        self._refresh_at = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def heard(self) -> None:
        """Something came."""
        self._heard_at = time.monotonic()

    def pong(self, seq: object) -> None:
        """A ping's answer came."""
        if self._ping is not None and self._ping[0] == seq:
            self.round_trip_s = time.monotonic() - self._ping[1]
            self._ping = None

    def expires(self, expires_at: float | None, *, again: bool = False) -> None:
        """Plan a refresh: 10 % of the ticket's life before its end, at most 30 s. ``expires_at`` as ``time.time()``.
        ``again``: it has just been refreshed."""
        self._refresh_at = None
        if expires_at is None or isinstance(self._options.ticket, str):
            return  # a ticket that is a string has no next one
        left_s = expires_at - time.time()
        if left_s > 0:
            in_s = left_s - min(_MAX_REFRESH_LEAD_S, left_s / 10)
            self._refresh_at = time.monotonic() + max(in_s, _MIN_REFRESHED_S if again else 0.0)

    async def _run(self) -> None:
        while (next_look := self._look()) is not None:
            soonest = next_look if self._refresh_at is None else min(next_look, self._refresh_at)
            await asyncio.sleep(max(0.001, min(soonest - time.monotonic(), _MAX_LOOK_S)))

    def _look(self) -> float | None:
        """When to look again; None when the connection was given up."""
        options, now = self._options, time.monotonic()
        if self._ping is None and now >= self._heard_at + options.ping_interval_s:
            self._send_ping(now)
        if self._ping is None:
            next_look = self._heard_at + options.ping_interval_s
        else:
            next_look = max(self._heard_at, self._ping[1]) + options.pong_timeout_s
            if now >= next_look and self._link.socket is not None:
                self._link.socket.abort("no answer to a ping")
                return None
        if self._refresh_at is not None and now >= self._refresh_at:
            self._refresh_at = None
            self._refresh()
        return next_look

    def _send_ping(self, now: float) -> None:
        seq = self._link.next_seq()
        self._ping = seq, now
        self._link.send({"v": 1, "svc": "sys", "type": "ping", "flags": SEQ_PRESENT, "seq": seq})
