"""The way to a backend that connects by itself: its streams while any is connected, else its address if it has one.

One breaker stands for all streams of a tenant. A question that was lost with its stream is no failure: the others
answer what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from actors import Scheduler
from wsprism.adapters.backend.desk import Asked, Service, begin_trace, end_trace
from wsprism.adapters.backend.endpoint import Endpoint, fresh_id
from wsprism.adapters.backend.streams import WENT, Streams
from wsprism.policy.breaker import Breaker
from wsprism.ports import CallResult, StreamPeer, Unanswered

__all__ = ["StreamRoute", "place_of"]

_OPEN: Final = Unanswered(CallResult.OPEN, "it failed too often, and is not asked for a while")
_AWAY: Final = Unanswered(CallResult.UNREACHABLE, "no stream of the backend is connected")


class StreamRoute:
    """``told`` hears what came of each question, for the log: None, it worked."""

    def __init__(
        self,
        streams: Streams,
        otherwise: Endpoint | None,
        timeout_s: float,
        breaker: Breaker,
        scheduler: Scheduler,
        told: Callable[[Unanswered | None], object],
    ) -> None:
        self._streams = streams
        self._otherwise = otherwise
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._scheduler = scheduler
        self._told = told

    def admits(self) -> bool:
        if self._streams:
            return self._breaker.admits(self._scheduler.now())
        return self._otherwise is None or self._otherwise.admits()

    def split(self, several: Sequence[Any]) -> Sequence[Sequence[int]]:
        """By the stream that each goes to."""
        if len(self._streams) < 2:
            return (range(len(several)),)
        places: dict[str, list[int]] = {}
        for position, one in enumerate(several):
            stream = self._streams.of(place_of(one.fields))
            places.setdefault("" if stream is None else stream.id, []).append(position)
        return tuple(places.values())

    def send(self, service: Service, several: Sequence[Any], done: Callable[[list[Any] | Unanswered], object]) -> None:
        """Ask one question; an answer is what ``service`` makes of it."""
        stream = self._streams.of(place_of(several[0].fields))
        if stream is not None:
            self._ask(stream, service, several, done)
        elif self._otherwise is not None:
            self._otherwise.send(service, several, done)
        else:
            self._told(_AWAY)
            self._scheduler.call_soon(lambda: done(_AWAY))

    def _ask(
        self,
        stream: StreamPeer,
        service: Service,
        several: Sequence[Asked],
        done: Callable[[list[Any] | Unanswered], object],
    ) -> None:
        breaker = self._breaker
        pass_ = breaker.ask(self._scheduler.now())
        if pass_ is None:
            self._scheduler.call_soon(lambda: done(_OPEN))
            return
        count = len(several)
        trace = begin_trace(several)

        def answered(answer: bytes | Unanswered) -> None:
            result: list[Any] | Unanswered
            if isinstance(answer, Unanswered):
                result = answer
            else:
                values = service.decode(count)(200, answer)
                result = Unanswered(CallResult.INVALID, values) if isinstance(values, str) else values
            if not isinstance(result, Unanswered):
                breaker.worked(pass_)
                self._told(None)
            elif result is WENT:
                breaker.withdrawn(pass_, self._scheduler.now())
            else:
                breaker.failed(pass_, self._scheduler.now())
                self._told(result)
            end_trace(trace, service, several, result, "stream")
            done(result)

        question_id = fresh_id()
        body = service.body(several, question_id, None if trace is None else trace.traceparent)
        self._streams.ask(stream, question_id, body, self._timeout_s, answered)


def place_of(fields: Any) -> str:
    """What decides which stream a question goes to: the room that it concerns, else whose it is."""
    room = fields.get("room") or (fields["message"].get("room") if "message" in fields else None)
    if room is not None:
        return str(room)
    session = fields.get("session")
    return "" if session is None else f"{session.user} {session.sid}"
