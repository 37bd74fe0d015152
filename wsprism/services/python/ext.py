"""The ext lane's way into a service in Python: a message in, its handler's effects out.

A plain handler costs no task and no future: it answers within the turn of whoever says the message.
"""

from __future__ import annotations

import time

from wsprism.effects import Answer, Asker, Fail, Later
from wsprism.plugin import Context
from wsprism.plugin.answers import FROM_MESSAGES, checked
from wsprism.plugin.incoming import read_data
from wsprism.plugin.service import Handler
from wsprism.plugin.words import RAISED, where_of
from wsprism.policy.decisions import Reason
from wsprism.ports import ServiceContext, ServiceHost, ServiceStatus
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, DataFault, Envelope
from wsprism.services.conduct import BUSY, FAULT, LONGEST_HOLD_S, SUSPENDED, Conduct
from wsprism.services.python.engine import Engine, blame
from wsprism.services.python.lines import Lines

__all__ = ["PythonService"]

_clock = time.perf_counter


class PythonService:
    """An ``ExtService`` and ``HostedService``. ``timeout_s`` bounds async handlers."""

    def __init__(self, engine: Engine, name: str, timeout_s: float) -> None:
        self.engine = engine
        self.name = name
        self.timeout_s = timeout_s
        self.conduct: Conduct = engine.conduct("ext", name)
        self.types: frozenset[str] | None = frozenset(engine.handlers.on)
        self._handlers = engine.handlers.on
        self._lines = Lines(engine, self.conduct, timeout_s)
        self._waiting = self._lines.waiting
        self._suspension = engine.suspension

    @property
    def status(self) -> ServiceStatus:
        return self.conduct.status

    def start(self, host: ServiceHost) -> None:
        self.engine.open(self, host)

    def stop(self, *, at_once: bool) -> None:
        self.engine.close(self)
        if at_once:
            self._lines.end()

    def handle(self, context: ServiceContext, envelope: Envelope) -> Answer | Later | Fail | None:
        engine, conduct, suspension = self.engine, self.conduct, self._suspension
        handler = self._handlers[envelope.type]
        room = envelope.room
        if room is None:
            room = context.active_room
        call = Context(engine, room, context.user, context.sid, envelope.type, envelope.seq)
        if handler.is_async or context in self._waiting:
            return self._later(context, envelope, handler, call)
        host = engine.host
        if host is None:
            return SUSPENDED
        pass_ = conduct.begin(host.now()) if suspension.suspended else suspension.period
        if pass_ is None:
            return SUSPENDED
        function = handler.function
        began = _clock()
        try:
            data = read_data(handler, envelope, context)
            if isinstance(data, DataFault):
                conduct.withdrawn(pass_)
                return _unfit(data)
            effects = checked(function(call, *data), FROM_MESSAGES, host.framing, host.max_bytes)
        except RAISED as error:
            blame(conduct, pass_, function, error, _clock() - began)
            return FAULT
        took_s = _clock() - began
        conduct.worked(pass_, len(effects), took_s)
        if took_s > LONGEST_HOLD_S:
            conduct.held(took_s, where_of(function))
        if not effects and not envelope.flags & ACK_REQUESTED:
            return None
        return Answer(effects)

    def _later(self, connection: ServiceContext, envelope: Envelope, handler: Handler, call: Context) -> Later | Fail:
        """Behind what this connection has said before."""
        lines = self._lines
        if lines.is_full(connection):
            return BUSY
        try:
            data = read_data(handler, envelope, connection)
        except RAISED as error:
            host = self.engine.host
            pass_ = None if host is None else self.conduct.begin(host.now())
            if pass_ is None:
                return SUSPENDED
            blame(self.conduct, pass_, handler.function, error, 0.0)
            return FAULT
        if isinstance(data, DataFault):
            return _unfit(data)
        arguments = data

        def begin(asker: Asker) -> None:
            lines.enter(connection, (handler, call, arguments, asker))

        return Later(begin)


def _unfit(fault: DataFault) -> Fail:
    return Fail(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, fault.msg)
