"""The ext lane's way into a service in Python: a message in, its handler's effects out.

A plain handler costs no task and no future: it answers within the turn of whoever says the message.
"""

from __future__ import annotations

from typing import Any

from wsprism.effects import Answer, Asker, Fail, Later
from wsprism.plugin import Context
from wsprism.plugin.answers import FROM_MESSAGES
from wsprism.plugin.incoming import read_data
from wsprism.plugin.service import Handler
from wsprism.policy.decisions import Reason
from wsprism.ports import ServiceContext, ServiceHost, ServiceStatus
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, DataFault, Envelope
from wsprism.services.conduct import BUSY, SUSPENDED, Conduct
from wsprism.services.python.engine import Engine
from wsprism.services.python.lines import Lines

__all__ = ["PythonService"]


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
        handler = self._handlers[envelope.type]
        room = envelope.room
        if room is None:
            room = context.active_room
        call = Context(self.engine, room, context.user, context.sid, envelope.type, envelope.seq)
        if handler.is_async or (self._lines and self._lines.has(context)):
            return self._later(context, envelope, handler, call)
        host = self.engine.host
        pass_ = None if host is None else self.conduct.begin(host.now())
        if pass_ is None:
            return SUSPENDED
        data = _data(context, envelope, handler)
        if isinstance(data, Fail):
            self.conduct.withdrawn(pass_)
            return data
        effects = self.engine.call(self.conduct, pass_, handler.function, FROM_MESSAGES, call, *data)
        if isinstance(effects, Fail):
            return effects
        if not effects and not envelope.flags & ACK_REQUESTED:
            return None
        return Answer(effects)

    def _later(self, connection: ServiceContext, envelope: Envelope, handler: Handler, call: Context) -> Later | Fail:
        """Behind what this connection has said before."""
        lines = self._lines
        if lines.is_full(connection):
            return BUSY
        data = _data(connection, envelope, handler)
        if isinstance(data, Fail):
            return data

        def begin(asker: Asker) -> None:
            lines.enter(connection, (handler, call, data, asker))

        return Later(begin)


def _data(context: ServiceContext, envelope: Envelope, handler: Handler) -> tuple[Any, ...] | Fail:
    """What the handler gets besides its context."""
    if handler.data is None:
        return ()
    data = read_data(handler, envelope.data, lambda type: context.decode_data(envelope, type))
    return Fail(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, data.msg) if isinstance(data, DataFault) else data
