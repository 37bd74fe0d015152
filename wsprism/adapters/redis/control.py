"""The stream of what every node is to hear of one tenant, followed without a gap: kicks, revocations, questions to all.

It comes by a channel in the order of its offsets. What is missing is read; where that cannot be had (the stream was
trimmed or is gone) whoever follows it is told to look for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.framing import unframed
from wsprism.adapters.redis.protocol import Refused, Unknown
from wsprism.adapters.redis.scripts import call, script

__all__ = ["ControlFollower", "ControlListener"]


class ControlListener(Protocol):
    """Who follows."""

    def control(self, fields: Sequence[bytes]) -> None:
        """The next entry."""
        ...

    def control_lost(self) -> None:
        """Entries are missing, and nobody can tell which."""
        ...

    def answered(self, asker: int, number: int, node: bytes, body: bytes) -> None:
        """A node has answered what this or another one has asked."""
        ...

    def cast_heard(self, body: bytes) -> None:
        """Something was said that is not kept."""
        ...


class ControlFollower:
    """``prefix`` is the tenant's."""

    def __init__(self, prefix: bytes, listener: ControlListener, strange: Callable[[str, object], object]) -> None:
        self.channel = prefix + b"ctl"
        self._prefix = prefix
        self._listener = listener
        self._strange = strange
        self._line: RedisConnection | None = None
        self._last = 0
        self._reads = False

    def begin(self, at: int) -> None:
        """Follow from behind this offset on: nothing before it is this incarnation's business."""
        self._last = at

    def up(self, line: RedisConnection) -> None:
        """Follow over this connection."""
        self._line = line
        self._reads = False
        self._subscribe()

    def down(self) -> None:
        """There is none."""
        self._line = None

    def unsubscribed(self) -> None:
        """Redis has ended it by itself."""
        self._subscribe()

    def heard(self, message: bytes, _: bytes) -> None:
        """Something was said in the channel."""
        match unframed(message):
            case [b"C", at, body] if at.isdigit():
                if int(at) == self._last + 1 and not self._reads:
                    self._take(int(at), body)
                elif int(at) > self._last:
                    self._read()
            case [b"A", asker, number, node, body] if asker.isdigit() and number.isdigit():
                self._listener.answered(int(asker), int(number), node, body)
            case [b"V", body]:
                self._listener.cast_heard(body)

    def _subscribe(self) -> None:
        if self._line is not None:
            self._line.subscribe("SSUBSCRIBE", [self.channel], self._answered("ssubscribe"))
            self._read()

    def _read(self) -> None:
        line = self._line
        if line is None or self._reads:
            return

        def told(answer: Any) -> None:
            if line is not self._line or isinstance(answer, Unknown):
                return
            self._reads = False
            if isinstance(answer, list):
                self._read_further(answer)
            else:
                self._strange("control_since", answer)

        refused = call(line, script("control_since"), self._prefix, (self._last,), told)
        self._reads = refused is None

    def _read_further(self, answer: Sequence[bytes]) -> None:
        top = int(answer[0])
        whole = top >= self._last
        for at, body in zip(answer[1::2], answer[2::2], strict=True):
            whole = whole and int(at) == self._last + 1
            if not whole:
                break
            self._take(int(at), body)
        if not whole or (self._last < top and len(answer) == 1):
            self._last = top
            self._listener.control_lost()
        elif self._last < top:
            self._read()

    def _take(self, at: int, body: bytes) -> None:
        self._last = at
        fields = unframed(body)
        if fields:
            self._listener.control(fields)

    def _answered(self, what: str) -> Callable[[object], object]:
        return lambda answer: self._strange(what, answer) if isinstance(answer, Refused) else None
