"""One stream of a tenant's backend: what it says is sorted here.

Answers and acks go to the hub in the same turn; calls wait in a line and are carried out in their order, one batch at a
time, beside the actor. Whoever sends calls faster than they are carried out is read no further meanwhile. Calls that
were heard before the socket's end are carried out after it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from qos import Lane
from wsprism.policy.decisions import Reason
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.stream import Fields, HotFromBackend, StreamCodec, StreamFault
from wsprism.protocol.websocket import size_in_bytes
from wsprism.realtime.keyed.actor import KeyedSocket
from wsprism.realtime.room.publications import hot_publication

if TYPE_CHECKING:
    from wsprism.ports import StreamCalls, StreamHub
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.stream.session import StreamSession

__all__ = ["BackendStream"]

_log = logging.getLogger("wsprism.backend")

MAX_WAITING_CALLS: Final = 1024
MAX_WAITING_BYTES: Final = 1024 * 1024
"""Calls that wait while others are carried out; above either the socket is read no further."""

_CALLS_AT_ONCE: Final = 64


class _CallsDone:
    """To itself: the batch that was under way has been carried out."""


_CALLS_DONE: Final = _CallsDone()


class BackendStream(KeyedSocket["StreamSession"]):
    """``calls`` has the rights of the key that the backend showed."""

    what = "a backend's stream"
    log = _log

    def __init__(
        self, tenant: TenantContext, session: StreamSession, codec: StreamCodec, hub: StreamHub, calls: StreamCalls
    ) -> None:
        super().__init__(tenant, session)
        self._counters = tenant.counters.stream
        self._codec = codec
        self._hub = hub
        self._calls = calls
        self._waiting: deque[tuple[Fields, int]] = deque()
        self._waiting_bytes = 0
        self._under_way = False
        self._reading_paused = False

    def receive(self, message: object) -> None:
        if message is _CALLS_DONE:
            self._on_calls_done()
        else:
            super().receive(message)

    # What the backend says

    def hear(self, message: str | bytes) -> None:
        counters = self._counters
        size_bytes = size_in_bytes(message)
        counters.received += 1
        counters.received_bytes += size_bytes
        said = self._codec.read(message)
        if isinstance(said, StreamFault):
            self._refuse(said.reason)
        elif isinstance(said, HotFromBackend):
            self._publish(said)
        elif isinstance(said, list):
            self._hear_calls(said, size_bytes)
        elif "call" in said:
            self._hear_calls([said], size_bytes)
        else:
            wrong = self._hub.answered(self._session, said)
            if wrong is not None:
                self._refuse(wrong)

    def _publish(self, said: HotFromBackend) -> None:
        """A hot frame for everybody in a room; one that is gone meanwhile misses nothing."""
        tenant, counters = self._tenant, self._counters
        counters.hot_received += 1
        room = tenant.registry.room_numbers.name_of(said.room_number)
        if room is None:
            counters.hot_unknown_room += 1
            return
        most = tenant.rules.limits.max_backend_bytes
        if len(said.frame) > most:
            self._refuse(f"a hot frame has at most {most} bytes")
            return
        publication = hot_publication(said.frame, tenant.rules, room)
        if publication is None:
            self._refuse("a hot frame is a whole one in the tenant's framing, without the sender flag")
        elif not tenant.registry.rooms[room].inbox.publish(publication):
            tenant.counters.decisions.count(Reason.MAILBOX_FULL)

    def _hear_calls(self, calls: list[Fields], size_bytes: int) -> None:
        if not all("call" in one for one in calls):
            self._refuse("what stands in a list is a call")
            return
        share_bytes = size_bytes // len(calls)
        self._waiting.extend((one, share_bytes) for one in calls)
        self._waiting_bytes += share_bytes * len(calls)
        if not self._under_way:
            self._carry_out()
        elif self._too_much_waits() and not self._reading_paused and self._outlet.transport is not None:
            self._reading_paused = True
            self._outlet.transport.pause_reading()

    def _too_much_waits(self) -> bool:
        return len(self._waiting) > MAX_WAITING_CALLS or self._waiting_bytes > MAX_WAITING_BYTES

    def _carry_out(self) -> None:
        batch: list[Fields] = []
        while self._waiting and len(batch) < _CALLS_AT_ONCE:
            call, size_bytes = self._waiting.popleft()
            self._waiting_bytes -= size_bytes
            batch.append(call)
        self._under_way = True
        self._counters.calls += len(batch)
        self.context.run(
            self._calls.carry_out(batch, self._session.say),
            on_result=lambda _: _CALLS_DONE,
            on_error=self._calls_failed,
        )

    @staticmethod
    def _calls_failed(error: Exception) -> _CallsDone:
        _log.error("calls of a backend's stream could not be carried out", exc_info=error)
        return _CALLS_DONE

    def _on_calls_done(self) -> None:
        self._under_way = False
        if self._waiting:
            self._carry_out()
        else:
            self.stop_once_idle()
        if self._reading_paused and not self._too_much_waits() and self._outlet.transport is not None:
            self._reading_paused = False
            self._outlet.transport.resume_reading()

    def _refuse(self, msg: str) -> None:
        """It is told what is wrong with what it said; nothing of it was done."""
        self._counters.faults += 1
        self._session.say(msgspec.json.encode({"code": ErrorCode.BAD_REQUEST.value, "msg": msg}))

    # Its life

    def opened(self) -> None:
        self._counters.opened += 1
        self._hub.connected(self._session)

    def ended(self, code: int) -> None:  # noqa: ARG002 (however it ended)
        """It is asked and told nothing more."""
        self._hub.gone(self._session)

    def is_busy(self) -> bool:
        """Calls that were heard before the socket's end are carried out after it."""
        return self._under_way

    def drains(self, reconnect_after_ms: int) -> None:
        body = {"kind": "draining", "reconnect_after_ms": reconnect_after_ms}
        self._session.say(msgspec.json.encode(body), Lane.CONTROL)
