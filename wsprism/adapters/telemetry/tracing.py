"""Traces for OpenTelemetry: what was noted of sampled messages, connections and calls becomes bytes of OTLP as soon as
it ends, and leaves in batches through a thread.

What does not fit is dropped whole and counted, so that no trace comes in parts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wsprism import __version__
from wsprism.adapters.telemetry.encoded import EncodedSpans, Teller
from wsprism.adapters.telemetry.otlp import SHUTDOWN_TIMEOUT_S, resource
from wsprism.adapters.telemetry.span_sender import SpanSender
from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol.otlp_spans import call_span, connection_span, message_spans
from wsprism.protocol.traces import CallTrace, ConnectionTrace, MessageTrace
from wsprism.realtime.counters import GatewayCounters

__all__ = ["Tracing"]

_log = logging.getLogger("wsprism.telemetry")

HAND_OVER_S: Final = 0.25

MOST_SPANS_IN_EXPORT: Final = 2048
MOST_BYTES_IN_EXPORT: Final = 2**20
"""A batch is exported as soon as it has so much. Over gRPC a collector takes 4 MiB at once."""

MOST_SPANS: Final = 8192
MOST_BYTES: Final = 2**24
"""Of spans that wait to be exported."""

T = TypeVar("T")


class Tracing:
    """A ``Tracer``. ``node`` is what operators call this process."""

    def __init__(self, exporter: SpanExporter, counters: GatewayCounters, node: str = "") -> None:
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._teller = Teller(resource(node), InstrumentationScope("wsprism", __version__))
        self._sender = SpanSender(exporter)
        self._told: list[bytes] = []
        self._told_spans = self._told_bytes = 0
        self._spans = self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._log = LimitedLog(_log, self._loop.time)

    def message_done(self, trace: MessageTrace) -> None:
        self._keep(trace, message_spans, 1 + len(trace.stages))

    def connection_done(self, trace: ConnectionTrace) -> None:
        self._keep(trace, connection_span, 1)

    def call_done(self, trace: CallTrace) -> None:
        self._keep(trace, call_span, 1)

    async def close(self) -> None:
        """Export what there is and stop, within ``SHUTDOWN_TIMEOUT_S``."""
        self._hand_over()
        await self._sender.close(SHUTDOWN_TIMEOUT_S)

    def _keep(self, trace: T, encode: Callable[[T], bytes], spans: int) -> None:
        taken = self._sender
        if self._spans - taken.spans + spans > MOST_SPANS or self._bytes - taken.bytes > MOST_BYTES:
            self._counters.traces_dropped += 1
            return
        try:
            told = encode(trace)
        except Exception as error:  # one that cannot be told is not the end of all others
            self._counters.traces_dropped += 1
            self._log.log("unmade", "a trace could not be made", level=logging.WARNING, error=repr(error))
            return
        self._spans += spans
        self._bytes += len(told)
        self._told.append(told)
        self._told_spans += spans
        self._told_bytes += len(told)
        if self._told_spans >= MOST_SPANS_IN_EXPORT or self._told_bytes >= MOST_BYTES_IN_EXPORT:
            self._hand_over()
        elif self._timer is None:
            self._timer = self._loop.call_later(HAND_OVER_S, self._hand_over)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._told:
            self._sender.send(EncodedSpans(self._teller, self._told, self._told_spans))
            self._told = []
            self._told_spans = self._told_bytes = 0
