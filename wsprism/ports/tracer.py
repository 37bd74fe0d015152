"""Who takes what was noted of sampled messages and connections."""

from __future__ import annotations

from typing import Protocol

from wsprism.protocol.traces import CallTrace, ConnectionTrace, MessageTrace

__all__ = ["Tracer"]


class Tracer(Protocol):
    """Takes what was noted of sampled messages, connections and calls, once each, when they have ended. Never waits."""

    def message_done(self, trace: MessageTrace) -> None: ...
    def connection_done(self, trace: ConnectionTrace) -> None: ...
    def call_done(self, trace: CallTrace) -> None: ...
