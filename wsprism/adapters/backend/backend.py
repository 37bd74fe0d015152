"""One tenant's backend over HTTP: its addresses, the desk where questions wait, and the news it is told.

The face of this package for the composition; the actors see it as ``ports.BackendPort``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from actors import Scheduler
from wsprism.adapters.backend.desk import Answered, BackendCounters, Desk, Route
from wsprism.adapters.backend.endpoint import Endpoint
from wsprism.adapters.backend.news import News
from wsprism.adapters.backend.posts import Posts
from wsprism.adapters.backend.questions import DecisionService, MessageService, PendingQuestion
from wsprism.adapters.backend.room_places import LiveRoom
from wsprism.adapters.backend.stream_route import StreamRoute
from wsprism.adapters.backend.streams import Streams
from wsprism.adapters.http import HttpAnswer, Outage
from wsprism.policy.breaker import Breaker
from wsprism.policy.news import NewsBatch, NewsBounds, NewsQueue
from wsprism.policy.questions import Line, QuestionBounds
from wsprism.ports import BackendFigures, CallResult, StreamHub, Unanswered
from wsprism.protocol.backend import (
    MAX_ANSWER_BYTES,
    ConnectAnswer,
    SessionFacts,
    decode_connect,
    decode_join,
    events_body,
    rfc3339,
)
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.traces import CallTrace
from wsprism.realtime.counters import StreamCounters

__all__ = ["BackendPlan", "HttpBackend", "ServicePlan"]

_log = logging.getLogger("wsprism.backend")

MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Bound in bytes beside the configured number of questions that wait."""

_ROOMS_REMEMBERED: Final = 4096

_NO_ACK: Final = Unanswered(CallResult.TIMEOUT, "news were not acknowledged over the stream")

MAX_CONNECTIONS: Final = 1025
"""As many as questions may be under way, and one for news."""


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """A webhook service; ``url`` None: the backend's own."""

    url: str | None
    timeout_s: float | None
    batch: int = 1
    abreast: int = 1
    max_pending: int = 16


@dataclass(frozen=True, slots=True)
class BackendPlan:
    """What a tenant's configuration says of its backend."""

    url: str | None
    keys: Sequence[bytes]
    timeout_s: float
    max_in_flight: int
    max_waiting: int
    failures: int
    pause_s: float
    asks: frozenset[str]
    on_failure_allow: bool
    events: frozenset[str]
    event_rooms: tuple[str, ...] | None
    news: NewsBounds
    news_delay_s: float
    services: Mapping[str, ServicePlan]
    stream: bool = False


class HttpBackend:
    """``read_effects`` makes effects of ``{"effects": [...]}``, or says what is wrong with it.

    ``rooms`` gives the live rooms by their names.
    """

    def __init__(
        self,
        tenant: str,
        plan: BackendPlan,
        scheduler: Scheduler,
        node: str,
        read_effects: Callable[[bytes], Any | str],
        unix_now: Callable[[], float] = time.time,
        stream_counters: StreamCounters | None = None,
        rooms: Callable[[], Mapping[str, LiveRoom]] = dict,
    ) -> None:
        self.tenant = tenant
        self.counters = BackendCounters()
        self.last_failure: str | None = None
        self._scheduler = scheduler
        self._node = node
        self._unix_now = unix_now
        self._read_effects = read_effects
        self._posts = Posts(scheduler, max_bytes=MAX_ANSWER_BYTES, max_connections=MAX_CONNECTIONS)
        self._outages: dict[str, Outage] = {}
        self._endpoints: list[Endpoint] = []
        self._retired: list[Endpoint] = []
        counters = stream_counters or StreamCounters()
        self._streams = Streams(scheduler, counters, node, rooms, self._streams_changed)
        self._stream_breaker = Breaker(plan.failures, plan.pause_s)
        self.desk = Desk(_bounds(plan), scheduler, self.counters)
        self.news = News(NewsQueue(plan.news), self._send_news, plan.news_delay_s, scheduler.now, unix_now)
        self.apply(plan)

    def apply(self, plan: BackendPlan) -> None:
        """Ask and tell by ``plan`` from the next call on; what waits, and news, are kept."""
        self.plan = plan
        self.desk.questions.bounds = _bounds(plan)
        self.news.queue.bounds = plan.news
        self.news.max_delay_s = plan.news_delay_s
        self._is_told_of = lru_cache(_ROOMS_REMEMBERED)(_matcher(plan.event_rooms or ()))
        self._stream_breaker.configure(plan.failures, plan.pause_s)
        old, self._endpoints = self._endpoints, []
        self._retired += old
        self._decisions: dict[str, DecisionService] = {}
        own = None if plan.url is None else self._endpoint(plan.url, plan.timeout_s, old)
        self._news_endpoint = own
        route = self._own_route(own, plan.timeout_s)
        if route is not None:
            for kind, read in (("connect", decode_connect), ("join", decode_join), ("ping", _any_answer)):
                self._decisions[kind] = DecisionService(kind, self.tenant, route, read, self._unix_now)
        self._services = {
            name: MessageService(self.tenant, self._route_of(one, old), one.batch, self._read_effects, self._unix_now)
            for name, one in plan.services.items()
        }
        if not plan.stream:
            self._streams.close_all(CloseCode.GOING_AWAY, "the tenant takes no stream any more")

    @property
    def streams(self) -> StreamHub | None:
        """Where its streams are heard; None: it may not connect by itself."""
        return self._streams if self.plan.stream else None

    @property
    def is_connected(self) -> bool:
        """Whether any stream of it is there."""
        return bool(self._streams)

    def start(self) -> None:
        """Begin to deliver news."""
        self.news.start()

    @property
    def asks(self) -> frozenset[str]:
        """Decisions that it wants to make."""
        return self.plan.asks

    @property
    def figures(self) -> BackendFigures:
        """What there is to say of it at this moment."""
        queue, questions = self.news.queue, self.desk.questions
        return BackendFigures(
            calls=self.counters.calls,
            duration=self.counters.duration,
            in_flight=questions.in_flight,
            waiting=questions.waiting,
            breakers={one.url: one.breaker.state.value for one in self._endpoints}
            | ({"stream": self._stream_breaker.state.value} if self.plan.stream else {}),
            streams=len(self._streams),
            events_waiting=len(queue),
            events_sent=queue.sent,
            events_missed=queue.missed,
            oldest_event_s=queue.oldest_age_s(self._scheduler.now()),
            last_failure=self.last_failure,
            node=self._node,
        )

    @property
    def on_failure_allow(self) -> bool:
        """What no usable answer to a decision means."""
        return self.plan.on_failure_allow

    def tells(self, event: str, room: str | None = None) -> bool:
        """Whether the configuration wants it told."""
        plan = self.plan
        if event not in plan.events or (self._news_endpoint is None and not plan.stream):
            return False
        return room is None or plan.event_rooms is None or self._is_told_of(room)

    def tell(self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]) -> None:
        """Queue one event."""
        self.news.tell(event, session, fields)

    def tell_once_known(
        self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]
    ) -> Callable[[Mapping[str, Any]], None]:
        """Queue one event of which not all is known yet."""
        return self.news.tell_once_known(event, session, fields)

    def line(self, service: str) -> Line[PendingQuestion] | None:
        """Where one connection's messages to a webhook service wait."""
        plan = self.plan.services.get(service)
        return None if plan is None else Line(plan.abreast, plan.batch)

    def withdraw(self, line: Line[PendingQuestion]) -> None:
        """Its connection has ended."""
        self.desk.withdraw(line)

    def ask_message(
        self,
        service: str,
        line: Line[PendingQuestion],
        session: SessionFacts,
        message: Mapping[str, Any],
        data_bytes: int,
        answered: Answered,
        trace: CallTrace | None = None,
    ) -> CallResult | None:
        """Have a message answered: effects or ``Unanswered`` come by ``answered``. Why it will not be, at once."""
        if line.pending >= self.plan.services[service].max_pending:
            self.counters.calls["message", CallResult.OVERLOADED] += 1
            return CallResult.OVERLOADED
        fields = {"session": session, "message": message}
        asked = self._services[service]
        deadline = self._scheduler.now() + (self.plan.services[service].timeout_s or self.plan.timeout_s)
        return self.desk.ask(line, PendingQuestion(asked, fields, data_bytes, deadline, answered, trace))

    def ask_join(
        self, fields: Mapping[str, Any], data_bytes: int, answered: Answered, trace: CallTrace | None = None
    ) -> CallResult | None:
        """Have a join decided: a ``JoinAnswer`` or ``Unanswered`` comes by ``answered``."""
        return self._decide("join", fields, data_bytes, answered, trace)

    async def ask_connect(
        self, fields: Mapping[str, Any], trace: CallTrace | None = None
    ) -> ConnectAnswer | Unanswered:
        """Have a handshake decided."""
        answer = await self._decided("connect", fields, trace)
        assert isinstance(answer, ConnectAnswer | Unanswered)
        return answer

    async def ping(self) -> Any:
        """Ask a question that means nothing: whatever 200 says is an answer."""
        return await self._decided("ping", {}, None)

    async def finish_news(self, grace_s: float) -> int:
        """Hand on the news that wait, within ``grace_s``; how many events are left. Nothing is told afterwards."""
        somewhere = self._news_endpoint is not None or bool(self._streams)
        return await self.news.finish(grace_s if somewhere else 0.0)

    async def close(self, grace_s: float = 0.0) -> int:
        """``finish_news``, and let go of everything; how many events are left."""
        left = await self.finish_news(grace_s)
        self.desk.close()
        self._streams.close_all(CloseCode.GOING_AWAY, "the tenant takes no stream any more")
        self._streams.close()
        for endpoint in (*self._endpoints, *self._retired):
            endpoint.close()
        await self._posts.close()
        return left

    async def _decided(self, kind: str, fields: Mapping[str, Any], trace: CallTrace | None) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answered(value: Any) -> None:
            if not answer.done():
                answer.set_result(value)

        refused = self._decide(kind, fields, 0, answered, trace)
        return Unanswered(refused, "it was not asked") if refused is not None else await answer

    def _decide(
        self, kind: str, fields: Mapping[str, Any], data_bytes: int, answered: Answered, trace: CallTrace | None
    ) -> CallResult | None:
        service = self._decisions[kind]
        deadline = self._scheduler.now() + self.plan.timeout_s
        return self.desk.ask(None, PendingQuestion(service, fields, data_bytes, deadline, answered, trace))

    def _own_route(self, endpoint: Endpoint | None, timeout_s: float) -> Route | None:
        """The way to the backend itself: its streams when it may have any, else its address."""
        if not self.plan.stream:
            return endpoint
        return StreamRoute(
            self._streams,
            endpoint,
            timeout_s,
            self._stream_breaker,
            self._scheduler,
            lambda failure: self._tell_outage("stream", failure),
        )

    def _route_of(self, service: ServicePlan, old: Sequence[Endpoint]) -> Route:
        """An address of its own is asked there; everything else goes where the backend is."""
        timeout_s = service.timeout_s or self.plan.timeout_s
        url = service.url or self.plan.url
        endpoint = None if url is None else self._endpoint(url, timeout_s, old)
        route = endpoint if service.url is not None else self._own_route(endpoint, timeout_s)
        assert route is not None, "the settings ask for one of them"
        return route

    def _endpoint(self, url: str, timeout_s: float, old: Sequence[Endpoint]) -> Endpoint:
        """Of one url there is one breaker, whoever asks and however long they wait; a reload keeps it."""
        breaker = next((one.breaker for one in (*self._endpoints, *old) if one.url == url), None)
        if breaker is not None:
            breaker.configure(self.plan.failures, self.plan.pause_s)
        endpoint = Endpoint(
            url,
            self.plan.keys,
            timeout_s,
            breaker or Breaker(self.plan.failures, self.plan.pause_s),
            self._posts,
            self._scheduler,
            lambda endpoint, failure: self._tell_outage(endpoint.url, failure),
            self._unix_now,
        )
        self._endpoints.append(endpoint)
        return endpoint

    def _streams_changed(self) -> None:
        """A new way to the backend, or one less: news that wait try it."""
        self.news.retry_now()

    def _tell_outage(self, where: str, failure: Unanswered | None) -> None:
        outage = self._outages.get(where)
        if outage is None:
            outage = self._outages[where] = Outage(_log, "the backend", self.tenant)
        if failure is None or failure.result is CallResult.REFUSED:
            outage.worked()
        elif failure.result is not CallResult.OPEN:
            self.last_failure = failure.why
            outage.failed(failure.why)

    async def _send_news(self, batch: NewsBatch) -> bool:
        body = events_body(
            batch.id,
            rfc3339(self._unix_now()),
            self.tenant,
            self._node,
            batch.first_seq,
            batch.missed,
            batch.events,
        )
        if self._streams:
            last_seq = batch.first_seq + len(batch.timed_events) - 1
            taken = await self._streams.tell(body, last_seq, self.plan.timeout_s)
            self._tell_outage("stream", None if taken else _NO_ACK)
            return taken
        if self._news_endpoint is None:
            return False
        answer = await self._news_endpoint.post(batch.id, body)
        if isinstance(answer, HttpAnswer) and 200 <= answer.status < 300:
            self._tell_outage(self._news_endpoint.url, None)
            return True
        why = f"status {answer.status}" if isinstance(answer, HttpAnswer) else answer.why
        self._tell_outage(self._news_endpoint.url, Unanswered(CallResult.INVALID, why))
        return False


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    return lambda room: any(fnmatchcase(room, pattern) for pattern in patterns)


def _bounds(plan: BackendPlan) -> QuestionBounds:
    return QuestionBounds.of(plan.max_in_flight, plan.max_waiting, MAX_WAITING_BYTES, decisions=bool(plan.asks))


def _any_answer(body: bytes) -> bytes:
    return body
