"""One service in Python at work in one tenant: its rooms and their states, its ticks, and every call of its code.

Whatever the code raises or answers ends here, as a fault of its own. All of it is synchronous and is called within
turns of others; what handlers wait for is ``lines``' business.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from wsprism.effects import Effect, Fail
from wsprism.plugin import Context, Service
from wsprism.plugin.answers import UNASKED, BadAnswer, checked
from wsprism.plugin.service import handlers_of, state_maker_of
from wsprism.plugin.words import RAISED, where_of, words_of
from wsprism.policy.suspension import Suspension
from wsprism.ports import ServiceHost
from wsprism.services.conduct import FAULT, LONGEST_HOLD_S, Conduct
from wsprism.services.python.ticker import Ticker

__all__ = ["Engine", "MigrationFailed", "Way", "blame"]

FAULTS_IN_A_ROW: Final = 10

_MISSING: Final = object()

_clock = time.perf_counter
_log = logging.getLogger("wsprism.service")


class MigrationFailed(Exception):
    """The state of a room cannot be handed over; says why."""


class Way(Protocol):
    """A lane's way into a service."""

    @property
    def conduct(self) -> Conduct: ...


class Engine:
    """``name`` is the ``svc`` of what it publishes. The ways into it open and close it; it lives while one is open."""

    def __init__(self, service: Service, name: str, options: Mapping[str, Any], version: str) -> None:
        self.handlers = handlers_of(service)
        self.name = name
        self.version = version
        self.options: Mapping[str, Any] = MappingProxyType(copy.deepcopy(dict(options)))
        self.log: logging.LoggerAdapter[Any] = logging.LoggerAdapter(_log, {"service": name})
        self.suspension = Suspension(FAULTS_IN_A_ROW)
        self.host: ServiceHost | None = None
        self.states: dict[str, Any] = {}
        self._make_state = state_maker_of(service)
        self._roomless_state: Any = _MISSING
        self._rooms: dict[str, None] = {}
        self._ways: list[Way] = []
        self._conducts: dict[tuple[str, str], Conduct] = {}
        self._ticker: Ticker | None = None
        self._took_over = False

    # Its life

    def conduct(self, lane: str, name: str) -> Conduct:
        """That of one entry of the configuration."""
        conduct = self._conducts.get((lane, name))
        if conduct is None:
            conduct = Conduct(lane, name, "python", self.version, self.suspension)
            self._conducts[lane, name] = conduct
        return conduct

    def open(self, way: Way, host: ServiceHost) -> None:
        """Messages come this way from now on. Idempotent."""
        way.conduct.start(host)
        if way in self._ways:
            return
        self._ways.append(way)
        if len(self._ways) > 1 or self._ticker is not None:
            return
        self.host = host
        self.log = logging.LoggerAdapter(_log, {"tenant": host.tenant, "service": self.name})
        self._rooms = dict.fromkeys(host.rooms())
        self._ticker = Ticker(host, self.handlers.ticks, self._rooms, self._tick)
        self._ticker.wake()

    def close(self, way: Way) -> None:
        """None do any more. Idempotent."""
        if way not in self._ways:
            return
        self._ways.remove(way)
        if all(other.conduct is not way.conduct for other in self._ways):
            way.conduct.stop()
        if not self._ways and self._ticker is not None:
            self._ticker.stop()
            self._rooms = {}

    @property
    def is_open(self) -> bool:
        """Whether it has its place in a configuration that is in force."""
        return bool(self._ways)

    def take_over(self, before: Engine) -> None:
        """Have the rooms' states of a predecessor, if this service says how. Raises MigrationFailed. Idempotent."""
        migrate = self.handlers.migrate
        if migrate is None or self._took_over:
            return
        states = {}
        for room, state in before.states.items():
            try:
                states[room] = migrate(state)
            except RAISED as error:
                raise MigrationFailed(f"{where_of(migrate)}: room {room!r}: {words_of(error)}") from error
        self.states = states
        self._took_over = True

    # For contexts

    @property
    def tenant(self) -> str:
        return "" if self.host is None else self.host.tenant

    def now_ms(self) -> int:
        return int((0.0 if self.host is None else self.host.unix_now()) * 1000)

    def state_of(self, room: str | None) -> Any:
        make = self._make_state
        if make is None:
            return None
        if room is None:
            if self._roomless_state is _MISSING:
                self._roomless_state = make()
            return self._roomless_state
        state = self.states.get(room, _MISSING)
        if state is _MISSING:
            state = make()
            if room in self._rooms:  # a client may name any room: nothing is kept of those that nobody is in
                self.states[room] = state
        return state

    # Rooms: a ``RoomWatcher``

    def joined(self, room: str, user: str, sid: str) -> list[Effect] | None:
        self._rooms[room] = None
        if self._ticker is not None:
            self._ticker.wake()
        return self._tell(self.handlers.joined, room, user, sid)

    def left(self, room: str, user: str, sid: str) -> list[Effect] | None:
        return self._tell(self.handlers.left, room, user, sid)

    def closed(self, room: str) -> None:
        self._rooms.pop(room, None)
        self.states.pop(room, None)

    def _tell(self, function: Callable[..., Any] | None, room: str, user: str, sid: str) -> list[Effect] | None:
        """Also while it is suspended: who comes and goes is told once."""
        if function is None or self.host is None or not self._ways:
            return None
        conduct = self._ways[0].conduct
        pass_ = conduct.begin(self.host.now())
        effects = self.call(conduct, pass_ or 0, function, UNASKED, Context(self, room, user, sid))
        return effects if isinstance(effects, list) else None

    def _tick(self, function: Callable[..., Any], room: str) -> None:
        if self.host is None or not self._ways:
            return
        conduct = self._ways[0].conduct
        pass_ = conduct.begin(self.host.now())
        if pass_ is None:
            return
        effects = self.call(conduct, pass_, function, UNASKED, Context(self, room))
        if isinstance(effects, list) and effects:
            self.host.carry_out(self.name, room, effects)

    # Calls

    def call(
        self,
        conduct: Conduct,
        pass_: int,
        function: Callable[..., Any],
        allowed: frozenset[type],
        context: Context,
        *data: Any,
    ) -> list[Effect] | Fail:
        """What a plain function answers, checked and settled."""
        host = self.host
        assert host is not None, "nothing is called before it is open"
        began = _clock()
        try:
            effects = checked(function(context, *data), allowed, host.framing, host.max_bytes)
        except RAISED as error:
            blame(conduct, pass_, function, error, _clock() - began)
            return FAULT
        took_s = _clock() - began
        conduct.worked(pass_, len(effects), took_s)
        if took_s > LONGEST_HOLD_S:
            conduct.held(took_s, where_of(function))
        return effects


def blame(conduct: Conduct, pass_: int, function: Callable[..., Any], error: BaseException, took_s: float) -> None:
    """A call of ``function`` raised, or what it returned cannot be used: its service's fault, whoever has sent what."""
    if type(error) is BadAnswer:  # an author's own may have a say in what it is an instance of
        conduct.failed(pass_, "answer", f"{where_of(function)}: {error}")
    else:
        conduct.failed(pass_, "exception", f"{where_of(function)}: {words_of(error)}", error)
    if took_s > LONGEST_HOLD_S:
        conduct.held(took_s, where_of(function))
