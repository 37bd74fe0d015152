"""One connection after the other: when there is one, why it ended, and when the next attempt is."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from wsprism_client._codes import Verdict, backoff_s, of_close
from wsprism_client._errors import CLOSED, WsPrismError
from wsprism_client._link import Link
from wsprism_client._options import Options, address
from wsprism_client._socket import ABNORMAL, End, Socket, TicketFailed, ask_ticket, within

__all__ = ["Life", "Watcher"]

_NOT_SENT = frozenset({1005, 1006, 1015})
"""Close codes that never stand in a frame (RFC 6455, 7.4.1)."""
_TOO_LATE = "no answer to the handshake in time"


class Watcher(Protocol):
    """Who is told."""

    def received(self, raw: str | bytes) -> None:
        """A message came."""

    def opened(self, session: dict[str, Any]) -> None:
        """Let in: what must be sent first is sent now."""

    def ending(self) -> None:
        """The connection is over, and not yet taken leave of."""

    def lost(self) -> None:
        """It is gone."""

    def closed(self, error: WsPrismError) -> None:
        """Lost, and for good."""

    def moved(self, told: dict[str, Any]) -> None:
        """The state is another."""


class Life:
    """``start`` it once."""

    def __init__(self, url: str, options: Options, link: Link, watcher: Watcher) -> None:
        address(url, options)
        self.state = "idle"
        self.next_attempt_at: float | None = None
        self.reason: dict[str, Any] | None = None
        self.session: dict[str, Any] | None = None
        self._url = url
        self._options = options
        self._link = link
        self._watcher = watcher
        self._sid = options.sid
        self._opened_at: float | None = None
        self._too_late: asyncio.TimerHandle | None = None
        self._come_back_at: float | None = None
        self._drained = False
        """The last connection was drained, and none has been healthy since."""
        self._refusal: tuple[float, str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Raises WsPrismError CLOSED when it is over."""
        if self.state == "closed" or self._closing:
            raise self.closed_error()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Close with 1000. Idempotent."""
        self._closing = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            try:
                await asyncio.gather(task, return_exceptions=True)
            finally:  # also when it is the ticket function that closes, and ends with the attempt
                self._close()
        self._close()

    def closed_error(self) -> WsPrismError:
        """Why nothing is done any more."""
        why = self.reason or {"code": 1000, "reason": "closed by the client"}
        return WsPrismError(CLOSED, f"the client is closed: {why['code']} {why['reason']}")

    # What the gateway says

    def authed(self, session: dict[str, Any]) -> None:
        """It has let the client in."""
        self.session = session
        self._sid = session["sid"] or self._sid
        self._opened_at = time.monotonic()
        if self._too_late is not None:
            self._too_late.cancel()
        self._watcher.opened(session)
        self._link.open = True
        self._move("open")

    def refused(self, reason: str, wait_s: float) -> None:
        """Why it will close the connection, before it has let the client in."""
        self._refusal = wait_s, reason

    def draining(self, reconnect_after_s: float) -> None:
        """When it wants the client back."""
        self._come_back_at = time.monotonic() + reconnect_after_s

    async def _run(self) -> None:
        failures = 0
        asked_again = False
        while True:
            self._opened_at = None
            self._refusal = None
            self._move("connecting")
            end = await self._attempt()
            opened_at, refusal = self._opened_at, self._refusal
            self._leave()
            self._watcher.lost()
            if opened_at is not None:
                asked_again = False
                if time.monotonic() - opened_at >= self._options.backoff_reset_s:
                    failures = 0
                    self._drained = False
            may_ask = not asked_again and not isinstance(self._options.ticket, str)
            if end.verdict is Verdict.FINAL or (end.verdict is Verdict.NEW_TICKET and not may_ask):
                self._task = None
                self._closed({"code": end.code, "reason": refusal[1] if refusal else end.reason})
                return
            asked_again = asked_again or end.verdict is Verdict.NEW_TICKET
            await self._wait(failures, max(end.wait_s or 0.0, refusal[0] if refusal else 0.0))
            failures += 1

    async def _wait(self, failures: int, asked_s: float) -> None:
        """Full jitter, never before the gateway wants it, and to the moment that a drain named: the first one."""
        now = time.monotonic()
        until = now + max(asked_s, backoff_s(failures, self._options.backoff_base_s, self._options.backoff_cap_s))
        if self._come_back_at is not None:
            until = max(self._come_back_at, until if self._drained else now)
            self._come_back_at, self._drained = None, True
        self.next_attempt_at = time.time() + until - now
        self._move("waiting")
        await asyncio.sleep(until - now)
        await asyncio.sleep(max(0.0, until - time.monotonic()))  # a timer may be early by its clock's resolution
        self.next_attempt_at = None

    async def _attempt(self) -> End:
        """One connection from its ticket to its end."""
        try:
            ticket = await ask_ticket(self._options)
        except TicketFailed as error:
            return End(ABNORMAL, f"no ticket: {error}", Verdict.RECONNECT)
        socket = Socket(address(self._url, self._options, self._sid), self._link.codec)
        timeout_s = self._options.connect_timeout_s
        self._too_late = asyncio.get_running_loop().call_later(timeout_s, socket.abort, _TOO_LATE)
        goodbye: int | None = 1000
        try:
            try:
                refused = await within(socket.open(ticket), timeout_s)
            except asyncio.TimeoutError:
                goodbye = None
                return End(ABNORMAL, _TOO_LATE, Verdict.RECONNECT)
            if refused is not None:
                return refused
            self._link.socket = socket
            code, reason = await socket.read(self._watcher.received)
            goodbye = None if code == ABNORMAL else code
            return End(code, reason, of_close(code, authed=self._opened_at is not None))
        finally:
            self._too_late.cancel()
            self._watcher.ending()
            # Until the state says that it is lost, calls are still made on it: they are sent again, or end, with it.
            try:
                await socket.close(1000 if goodbye in _NOT_SENT else goodbye)
            finally:
                self._link.socket = None

    def _leave(self) -> None:
        self._link.open = False
        self.session = None

    def _close(self) -> None:
        if self.state != "closed":
            self._closed({"code": 1000, "reason": "closed by the client"})

    def _closed(self, reason: dict[str, Any]) -> None:
        self.reason = reason
        self.next_attempt_at = None
        self.state = "closed"
        self._leave()
        self._watcher.closed(self.closed_error())
        self._watcher.moved({"state": "closed", "reason": reason})

    def _move(self, state: str) -> None:
        self.state = state
        told: dict[str, Any] = {"state": state}
        if self.next_attempt_at is not None:
            told["next_attempt_at"] = self.next_attempt_at
        self._watcher.moved(told)
