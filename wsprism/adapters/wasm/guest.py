"""A guest in the hands of its host: made when it is first called, thrown away after a fault, counted, suspended.

What the two kinds of service share. A module's own lines go to the log, so many a second.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from wsprism.adapters.wasm.bounds import Cause, GuestFault
from wsprism.adapters.wasm.instance import Instance
from wsprism.policy.ratelimit import TokenBucket
from wsprism.policy.suspension import Suspension
from wsprism.services.conduct import LONGEST_HOLD_S, Conduct

if TYPE_CHECKING:
    from wsprism.adapters.wasm.bounds import Bounds
    from wsprism.adapters.wasm.module import GuestModule
    from wsprism.ports import ServiceHost, ServiceStatus

__all__ = ["Guest", "Terms"]

FAULTS: Final = 10
WITHIN_S: Final = 60.0
_LINES_PER_S: Final = 10
_LOOKS_SELDOM: Final = 63
"""At how much memory it has: once in so many calls, and one."""
_SLOWEST_FUEL_S: Final = 2.5e-9
"""A unit of fuel, several times what it takes. Some instructions are much dearer than their fuel: those that go into
the engine, as to grow by nothing or to name a function."""
_WATCHED_CALLS: Final = 64
"""To know what the processor has done takes as long as a short call: asked only of who has held the loop lately."""
_LEVELS: Final = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)

_log = logging.getLogger("wsprism.services")


class Terms:
    """What a service is made of. Two that are equal are one service: a reload keeps it, and what it knows."""

    __slots__ = ("bounds", "module", "options", "to")

    def __init__(self, module: GuestModule, bounds: Bounds, options: bytes, to: str = "") -> None:
        self.module = module
        self.bounds = bounds
        self.options = options
        self.to = to

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Terms) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.module.version, self.bounds, self.options, self.to


class Guest:
    """Of one service: ``lane`` and ``name`` as in the configuration."""

    def __init__(self, lane: str, name: str, terms: Terms) -> None:
        self.terms = terms
        self.host: ServiceHost | None = None
        self.conduct = Conduct(lane, name, "wasm", terms.module.version, Suspension(FAULTS, WITHIN_S))
        self._instance: Instance | None = None
        self._calls = 0
        self._lines = TokenBucket(_LINES_PER_S, _LINES_PER_S, time.monotonic())
        self._left_out = 0
        self._watched = 0
        self._began_s = 0.0
        self._longest_s = LONGEST_HOLD_S + terms.bounds.fuel * _SLOWEST_FUEL_S

    @property
    def status(self) -> ServiceStatus:
        """At this moment."""
        return self.conduct.status

    def start(self, host: ServiceHost) -> None:
        """Its tenant has it from now on. Idempotent."""
        self.host = host
        self.conduct.start(host)

    def stop(self) -> None:
        """It is called no more; nothing of it is ever under way. Idempotent."""
        self.throw_away()
        self.conduct.stop()
        self.host = None

    def instance(self) -> Instance:
        """The one that has not failed yet, made now if there is none. Raises GuestFault."""
        instance = self._instance
        if instance is None:
            terms = self.terms
            instance = self._instance = Instance(terms.module, terms.bounds, terms.options, self._say)
        return instance

    def begin(self) -> None:
        """A call begins now."""
        if self._watched:
            self._began_s = time.thread_time()

    def end(self) -> None:
        """It has ended, with an answer. Raises GuestFault: it took much longer than its fuel says."""
        if not self._watched:
            return
        self._watched -= 1
        took_s = time.thread_time() - self._began_s
        if took_s > self._longest_s:
            self._watched = _WATCHED_CALLS
            words = f"it has computed for {took_s * 1000:.1f} ms; {self._longest_s * 1000:.1f} are allowed for its fuel"
            raise GuestFault(Cause.TIME, words)

    def worked(self, pass_: int, instance: Instance, effects: int, took_s: float) -> None:
        """A call gave so many effects."""
        if not self._calls & _LOOKS_SELDOM:
            self.conduct.holds(instance.memory_bytes)
        self._calls += 1
        self.conduct.worked(pass_, effects, took_s, instance.fuel_used())
        if took_s > LONGEST_HOLD_S:
            self._watched = _WATCHED_CALLS
            self.conduct.held(took_s, "wsprism_handle" if self.conduct.lane == "ext" else "wsprism_hot")

    def failed(self, pass_: int, fault: GuestFault) -> None:
        """A call gave nothing: what it ran in is thrown away."""
        fuel = 0 if self._instance is None else self._instance.fuel_used()
        self.throw_away()
        self.conduct.holds(0)
        self.conduct.failed(pass_, fault.cause.value, fault.words, fuel=fuel)

    def throw_away(self) -> None:
        """Its instance, with all that it knows; the next call gets a new one."""
        self._calls = 0
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()

    def _say(self, level: int, text: str) -> None:
        if not self._lines.take(time.monotonic()):
            self._left_out += 1
            return
        fields: dict[str, object] = {"service": self.conduct.name, "lane": self.conduct.lane, "line": text}
        if self.host is not None:
            fields["tenant"] = self.host.tenant
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        _log.log(_LEVELS[level], "a service says", extra=fields)
