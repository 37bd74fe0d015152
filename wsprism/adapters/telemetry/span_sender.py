"""Exports batches of spans, one after the other, in a thread of its own: an exporter blocks, and may take seconds."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from queue import SimpleQueue

from opentelemetry import context
from opentelemetry.sdk.trace.export import SpanExporter

from wsprism.adapters.telemetry.encoded import EncodedSpans

__all__ = ["SpanSender"]

_SUPPRESS = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None)


class SpanSender:
    """``spans`` and ``bytes`` tell how much it has begun to export so far; whoever sends sees to it that not too much
    waits.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self.spans = self.bytes = 0
        self._exporter = exporter
        self._batches: SimpleQueue[EncodedSpans | None] = SimpleQueue()
        self._abandoned = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._run, name="wsprism-traces", daemon=True).start()

    def send(self, spans: EncodedSpans) -> None:
        self._batches.put(spans)

    async def close(self, timeout_s: float) -> None:
        """Export what waits, and end. What has not left within ``timeout_s`` is given up."""
        self._batches.put(None)
        await asyncio.wait([self._ended], timeout=timeout_s)
        self._abandoned = True

    # In the thread

    def _run(self) -> None:
        if _SUPPRESS is not None:  # whoever traces HTTP calls would trace ours for ever
            context.attach(context.set_value(_SUPPRESS, True))
        while not self._abandoned and (spans := self._batches.get()) is not None:
            self.spans += len(spans)
            self.bytes += spans.size_bytes
            with contextlib.suppress(Exception):  # told by the exporter; the next batch has its own luck
                self._exporter.export(spans)
        with contextlib.suppress(Exception):
            self._exporter.shutdown()
        with contextlib.suppress(RuntimeError):  # the loop has gone: nobody waits any more
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
