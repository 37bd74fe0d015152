"""What one tenant asks of Redis over one of its node's connections: lines of calls, bounded in bytes together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from wsprism.adapters.redis.call_line import Call, CallLine
from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.protocol import Refused, Word
from wsprism.adapters.redis.scripts import Script, call, script
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.ports import Unavailable

__all__ = ["CallsNode", "TenantCalls", "next_number"]

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Of calls that have no answer yet."""

_numbers = count(1)


def next_number() -> int:
    """What a call is known by: never given twice in this process, not even to a tenant that was removed and is back."""
    return next(_numbers)


class CallsNode(Protocol):
    """What a tenant's calls need of their node."""

    incarnation: int

    def later(self, call: Callable[[], object]) -> None: ...
    def strange(self, what: str, answer: object) -> None: ...
    def fenced(self) -> None: ...


N = TypeVar("N", bound=CallsNode)


class TenantCalls(Generic[N]):
    """The base of what answers a port with scripts: the ``Caller`` of its lines.

    ``prefix`` is what all keys and channels of the tenant begin with; ``connection`` is None while there is none, or no
    lease.
    """

    def __init__(self, node: N, prefix: bytes) -> None:
        self.prefix = prefix
        self.connection: RedisConnection | None = None
        self.waiting_bytes = 0
        self._node = node
        self._lines: dict[Hashable, CallLine] = {}

    @property
    def away(self) -> bool:
        """Whether whatever may be refused is."""
        return self.connection is None

    @property
    def incarnation(self) -> int:
        return self._node.incarnation

    def later(self, call: Callable[[], object]) -> None:
        self._node.later(call)

    def strange(self, what: str, answer: object) -> None:
        self._node.strange(what, answer)

    def fenced(self) -> None:
        self._node.fenced()

    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None:
        if self.connection is None:
            return Refused("AWAY", "there is no connection")
        return call(self.connection, which, self.prefix, arguments, answered)

    def settled(self, line: CallLine, size_bytes: int) -> None:
        self.waiting_bytes -= size_bytes
        if not len(line) and self._lines.get(line.key) is line:
            del self._lines[line.key]

    def _add(self, key: Hashable, what: Call) -> None:
        """Behind what was asked with this key already; never answered before the caller has returned."""
        if self.connection is None or self.waiting_bytes + what.size_bytes > MAX_WAITING_BYTES:
            why = Unavailable.AWAY if self.connection is None else Unavailable.OVERLOADED
            self.later(lambda: what.refuse(why))
            return
        self._add_unbounded(key, what)

    def _add_unbounded(self, key: Hashable, what: Call) -> None:
        """The same for what must not be refused."""
        self.waiting_bytes += what.size_bytes
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = CallLine(key, self)
        line.add(what)

    def add_anyway(self, key: Hashable, what: Call) -> None:
        """What must not be refused for want of space; only where there is nobody to ask."""
        if self.connection is None:
            self.later(lambda: what.refuse(Unavailable.AWAY))
        else:
            self._add_unbounded(key, what)

    def behind_all(self, then: Callable[[], object]) -> None:
        """``then``: once all that is asked now has been sent, or was given up."""
        lines = [line for line in self._lines.values() if len(line) > 1]
        if self.connection is None or not lines:
            then()
            return
        left = len(lines)

        def passed(_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                then()

        for line in lines:
            self._add_unbounded(line.key, SimpleCall(script("counts"), (), lambda _: None, passed))

    def _send_lines(self) -> None:
        """There is a connection: what waits is asked, and what has no answer asked about."""
        for one in list(self._lines.values()):
            one.send()

    def _give_up_unsent(self) -> None:
        """It is lost."""
        for one in list(self._lines.values()):
            one.give_up_unsent()
