"""What is noted of a sampled message or connection on its way: plain records; `otlp_spans` writes them as spans.

The actors mark where a message has been; nothing here knows a telemetry library or exports anything. Times are
nanoseconds of a monotonic clock; ``wall_ns`` is the Unix time of ``started_ns``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from wsprism.protocol.trace import TraceParent

__all__ = ["MAX_EVENTS", "CallTrace", "ConnectionTrace", "MessageTrace", "SpanRef", "Stage"]

MAX_EVENTS = 64
"""A connection may join and leave for days: its trace keeps the first events only."""


@dataclass(frozen=True, slots=True)
class SpanRef:
    """Names a span: lower-case hex ids."""

    trace_id: str
    span_id: str


class Stage(msgspec.Struct, frozen=True, gc=False):
    """A part of a way, or an event: what it was, when it ended, and what belongs to it."""

    name: str
    ended_ns: int
    attributes: dict[str, Any]


class MessageTrace:
    """One sampled message. It ends when its outcome is known: answered, refused, or written to a member's socket.

    ``parent`` is the span that the client named; ``connection`` the sender's, when that is traced too. ``links`` are
    traced connections of members that got it. ``ref`` names its span, once somebody has asked; ``traced``: there will
    be one. ``on_dispatched`` and ``on_done`` are told once each.
    """

    __slots__ = (
        "_clock_ns",
        "_on_dispatched",
        "_on_done",
        "connection",
        "handed_on",
        "lane",
        "links",
        "outcome",
        "parent",
        "ref",
        "session_trace_id",
        "stages",
        "started_ns",
        "tenant",
        "traced",
        "wall_ns",
    )

    def __init__(
        self,
        tenant: str,
        session_trace_id: str,
        connection: SpanRef | None,
        *,
        clock_ns: Callable[[], int],
        wall_ns: int,
        on_dispatched: Callable[[MessageTrace], None],
        on_done: Callable[[MessageTrace], None],
        traced: bool = True,
    ) -> None:
        self.tenant = tenant
        self.traced = traced
        self.ref: SpanRef | None = None
        self.session_trace_id = session_trace_id
        self.connection = connection
        self.lane = "ext"
        self.parent: TraceParent | None = None
        self.links: list[SpanRef] = []
        self.stages: list[Stage] = []
        self.outcome = "handled"
        self.handed_on = False
        self._clock_ns = clock_ns
        self._on_dispatched = on_dispatched
        self._on_done = on_done
        self.wall_ns = wall_ns
        self.started_ns = clock_ns()

    def span(self) -> SpanRef | None:
        """Its span, for whoever is to link to it; None: there will be none."""
        if self.ref is None and self.traced:
            trace_id = secrets.token_hex(16) if self.parent is None else self.parent.trace_id
            self.ref = SpanRef(trace_id, secrets.token_hex(8))
        return self.ref

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start to the last mark."""
        return (self.stages[-1].ended_ns - self.started_ns) / 1e9 if self.stages else 0.0

    def mark(self, stage: str, **attributes: Any) -> None:
        """``stage`` ends now, and the next one begins."""
        self.stages.append(Stage(stage, self._clock_ns(), attributes))

    def dispatched(self) -> None:
        """The connection is done with it; unless it went to a room, that is its end."""
        self.mark("dispatch")
        self._on_dispatched(self)
        if not self.handed_on:
            self._on_done(self)

    def written(self, outcome: str) -> None:
        """A member's transport has taken it, or never will."""
        self.mark("write")
        self.outcome = outcome
        self._on_done(self)


class ConnectionTrace:
    """One sampled connection, from its handshake to its end. ``on_done`` is told once."""

    __slots__ = ("_clock_ns", "_on_done", "attributes", "ended_ns", "events", "parent", "ref", "started_ns", "wall_ns")

    def __init__(
        self,
        ref: SpanRef,
        parent: TraceParent | None,
        *,
        clock_ns: Callable[[], int],
        wall_ns: int,
        on_done: Callable[[ConnectionTrace], None],
    ) -> None:
        self.ref = ref
        self.parent = parent
        self.events: list[Stage] = []
        self.attributes: dict[str, Any] = {}
        self._clock_ns = clock_ns
        self._on_done = on_done
        self.wall_ns = wall_ns
        self.started_ns = self.ended_ns = clock_ns()

    def note(self, event: str, **attributes: Any) -> None:
        """Something happened just now; forgotten when too much has."""
        if len(self.events) < MAX_EVENTS:
            self.events.append(Stage(event, self._clock_ns(), attributes))

    def done(self, **attributes: Any) -> None:
        """The connection has ended."""
        self.attributes |= attributes
        self.ended_ns = self._clock_ns()
        self._on_done(self)


class CallTrace:
    """One call to a backend, from the question's way out to its answer: a part of what it is asked about, ``of``.

    ``links`` are the spans of all that is asked in this call. ``on_done`` is told once; never, when it was not asked.
    """

    __slots__ = (
        "_clock_ns",
        "_now_ns",
        "_on_done",
        "attributes",
        "ended_ns",
        "links",
        "of",
        "ref",
        "started_ns",
        "wall_ns",
    )

    def __init__(
        self,
        of: SpanRef,
        *,
        clock_ns: Callable[[], int],
        now_ns: Callable[[], int],
        on_done: Callable[[CallTrace], None],
    ) -> None:
        self.of = of
        self.ref = SpanRef(of.trace_id, secrets.token_hex(8))
        self.links = [of]
        self.attributes: dict[str, Any] = {}
        self._clock_ns = clock_ns
        self._now_ns = now_ns
        self._on_done = on_done
        self.started_ns = self.ended_ns = self.wall_ns = 0

    @property
    def traceparent(self) -> str:
        """What has the backend's spans follow this one (W3C Trace Context)."""
        return f"00-{self.ref.trace_id}-{self.ref.span_id}-01"

    def begin(self, others: Iterable[CallTrace]) -> None:
        """The question goes out, with those of ``others``."""
        self.links += [one.of for one in others]
        self.wall_ns, self.started_ns = self._now_ns(), self._clock_ns()

    def done(self, **attributes: Any) -> None:
        """There is an answer, or never will be."""
        self.attributes |= attributes
        self.ended_ns = self._clock_ns()
        self._on_done(self)
