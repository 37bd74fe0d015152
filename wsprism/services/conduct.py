"""How one service of the operator's code behaves: what it is counted, what it did last, whether it is suspended.

Shared by all kinds of such services. Their hosts call ``begin`` before each call and settle what it gave; they carry
nothing out while it says no. Nothing here waits or raises.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any, Final

from wsprism.effects import Fail
from wsprism.policy.decisions import Reason
from wsprism.policy.log_limit import LimitedLog
from wsprism.policy.suspension import Suspension
from wsprism.ports import ServiceCounts, ServiceHost, ServiceStatus
from wsprism.protocol.codes import ErrorCode

__all__ = ["BUSY", "ENDED", "FAULT", "LONGEST_HOLD_S", "SUSPENDED", "TOO_SLOW", "Conduct"]

FAULT: Final = Fail(Reason.SERVICE_FAULT, ErrorCode.INTERNAL, "the service failed")
TOO_SLOW: Final = Fail(Reason.SERVICE_FAULT, ErrorCode.TIMEOUT, "the service did not answer in time")
SUSPENDED: Final = Fail(Reason.SERVICE_SUSPENDED, ErrorCode.UNAVAILABLE, "the service keeps failing, and is suspended")
ENDED: Final = Fail(Reason.SERVICE_SUSPENDED, ErrorCode.UNAVAILABLE, "the service has ended")
BUSY: Final = Fail(Reason.SERVICE_BUSY, ErrorCode.RESOURCE_EXHAUSTED, "too much waits for the service")
"""What a sender is told."""

LONGEST_HOLD_S: Final = 0.005
"""A call that holds the event loop longer is named."""

_SAMPLED: Final = 16
_LONGEST_WORDS: Final = 300

_log = logging.getLogger("wsprism.services")


class Conduct:
    """``lane``, ``name`` and ``kind`` as in the configuration, ``version`` names the code. ``start`` comes first.

    Several may share a ``suspension``: entries of the configuration that are one service.
    """

    def __init__(self, lane: str, name: str, kind: str, version: str, suspension: Suspension) -> None:
        self.lane = lane
        self.name = name
        self.last_fault: str | None = None
        self._kind = kind
        self._version = version
        self._suspension = suspension
        self._since = 0.0
        self._host: ServiceHost | None = None
        self._counts: ServiceCounts = _Uncounted()
        self._limited = LimitedLog(_log, time.monotonic)

    def start(self, host: ServiceHost) -> None:
        """Its tenant has it from now on. Idempotent."""
        if self._host is None:
            self._since = host.unix_now()
        self._host = host
        self._counts = host.counts(self.lane, self.name)
        self._counts.suspension = self._suspension

    def stop(self) -> None:
        """What is counted under its name belongs to its successor, if it has one."""
        if self._counts.suspension is self._suspension:
            self._counts.suspension = None
            self._counts.memory_bytes = 0
        self._host = None
        self._counts = _Uncounted()

    @property
    def status(self) -> ServiceStatus:
        """At this moment."""
        suspended = self._suspension.suspended
        return ServiceStatus(self.lane, self.name, self._kind, self._since, self._version, suspended, self.last_fault)

    def begin(self, now: float) -> int | None:
        """A pass for one call, to be settled by ``worked``, ``failed`` or ``withdrawn``; None: it is suspended."""
        return self._suspension.ask(now)

    def worked(self, pass_: int, effects: int, took_s: float, fuel: int = 0) -> None:
        """It gave so many effects, for so much fuel where there is any."""
        counts, suspension = self._counts, self._suspension
        counts.calls = calls = counts.calls + 1
        counts.effects += effects
        counts.fuel += fuel
        if not calls % _SAMPLED:
            counts.duration.record(took_s)
        if suspension.suspended:
            suspension.worked(pass_)
            if not suspension.suspended:
                _log.info("a service works again", extra=self._fields())
        elif suspension.seen:
            suspension.worked(pass_)

    def holds(self, memory_bytes: int) -> None:
        """So much memory of its own, now."""
        self._counts.memory_bytes = memory_bytes

    def withdrawn(self, pass_: int) -> None:
        """It was not called after all, or told nothing of itself."""
        self._suspension.withdrawn(pass_)

    def failed(self, pass_: int, cause: str, words: str, error: BaseException | None = None, fuel: int = 0) -> None:
        """A fault: counted, told to the operator, never to a client.

        ``cause`` is one of a few names of ours, ``words`` may be the service's own.
        """
        self._counts.calls += 1
        self._counts.fuel += fuel
        self._counts.faults[cause] += 1
        shown = words if len(words) <= _LONGEST_WORDS else words[:_LONGEST_WORDS] + "…"
        self.last_fault = shown.encode("utf-8", "backslashreplace").decode()  # half a character, nobody can be shown
        fields = self._fields() | {"cause": cause, "fault": self.last_fault}
        try:
            self._limited.log("service_fault", "a service failed", level=logging.ERROR, raised=error, **fields)
        except BaseException:  # what it raised fails where it is shown
            _log.error("a service failed", extra=fields)
        if self._host is not None and self._suspension.failed(pass_, self._host.now()):
            self._counts.suspensions += 1
            _log.error("a service keeps failing, and is suspended", extra=fields)

    def held(self, took_s: float, where: str) -> None:
        """A call has held the event loop for longer than ``LONGEST_HOLD_S``, in the function ``where``."""
        self._counts.slow += 1
        self._limited.log(
            "service_holds_the_loop",
            "a service holds the event loop, and everybody waits",
            level=logging.WARNING,
            **self._fields(),
            handler=where,
            took_ms=round(took_s * 1000, 1),
        )

    def _fields(self) -> dict[str, Any]:
        return {"tenant": "" if self._host is None else self._host.tenant, "service": self.name, "lane": self.lane}


class _Uncounted:
    """Counts of a service that no tenant has, not yet or not any more."""

    def __init__(self) -> None:
        self.calls = self.effects = self.fuel = self.memory_bytes = self.slow = self.suspensions = 0
        self.suspension: Suspension | None = None
        self.faults: Counter[str] = Counter()
        self.duration = _Unrecorded()


class _Unrecorded:
    def record(self, value_s: float) -> None:
        """Nobody asks for it."""
