"""The hot lane's way into a service in Python: every frame is looked at before it goes anywhere."""

from __future__ import annotations

import time
from typing import Literal

from wsprism.plugin import Context
from wsprism.plugin.answers import checked_frame
from wsprism.plugin.words import RAISED, where_of
from wsprism.ports import HotVerdict, ServiceContext, ServiceHost, ServiceStatus
from wsprism.protocol.hot import HotFrame
from wsprism.services.conduct import LONGEST_HOLD_S, Conduct
from wsprism.services.python.engine import Engine, blame

__all__ = ["PythonHotService"]

_clock = time.perf_counter


class PythonHotService:
    """A ``FilteringService`` and ``HostedService``. ``to`` says who gets what passes."""

    include_sender = False
    to_backend = False
    filters = True

    def __init__(self, engine: Engine, name: str, to: Literal["all", "others", "nobody"]) -> None:
        self.engine = engine
        self.name = name
        self.echo = to == "all"
        self.deliver = to != "nobody"
        self.conduct: Conduct = engine.conduct("hot", name)
        self._handlers = engine.handlers.hot
        self._otherwise = self._handlers.get(None)

    @property
    def status(self) -> ServiceStatus:
        return self.conduct.status

    def start(self, host: ServiceHost) -> None:
        self.engine.open(self, host)

    def stop(self, *, at_once: bool) -> None:  # noqa: ARG002 (nothing of it is under way)
        self.engine.close(self)

    def filter(self, context: ServiceContext, room: str | None, frame: HotFrame) -> bytes | HotVerdict:
        function = self._handlers.get(frame.opcode, self._otherwise)
        host, conduct = self.engine.host, self.conduct
        if function is None or host is None:
            return HotVerdict.DROP
        pass_ = conduct.begin(host.now())
        if pass_ is None:
            return HotVerdict.SUSPENDED
        call = Context(self.engine, room, context.user, context.sid, None, frame.seq)
        began = _clock()
        try:
            verdict = checked_frame(function(call, frame.raw), host.framing, host.max_bytes)
        except RAISED as error:
            blame(conduct, pass_, function, error, _clock() - began)
            return HotVerdict.FAILED
        took_s = _clock() - began
        conduct.worked(pass_, int(verdict is not HotVerdict.DROP), took_s)
        if took_s > LONGEST_HOLD_S:
            conduct.held(took_s, where_of(function))
        return verdict
