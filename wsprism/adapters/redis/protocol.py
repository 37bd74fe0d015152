"""RESP3 as one client speaks it, sans-IO: commands out, replies and pushes in.

Redis answers in the order of the commands; a command that was said is answered exactly once, by a value, ``Refused`` or
``Unknown``. Subscriptions are confirmed by pushes in that same order. What waits is bounded in bytes, what is read too.
The connection around it owns the socket and the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hiredis import PushNotification, Reader, pack_command

__all__ = ["AWAY", "BACKLOG", "Answered", "Conversation", "Pushed", "Refused", "Unknown", "Word"]

Word = bytes | str | int
"""One argument of a command."""

BACKLOG: Final = "BACKLOG"
AWAY: Final = "AWAY"
"""Codes of our own, for what was not sent: too much waits already; there is no connection."""

_NOT_ENOUGH: Final = object()
_OUT_OF_STEP: Final = "it answered what was not asked"


class Refused(Exception):
    """Not carried out. ``code`` is the first word of Redis's error, or one of ours. Told as a value, never raised."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was sent, no answer came, and none will: whether it was carried out must be found out."""

    why: str


Answered = Callable[[Any], object]
"""Told the value, ``Refused`` or ``Unknown``."""

Pushed = Callable[[Sequence[Any]], object]
"""Told a push that is no confirmation."""


@dataclass(slots=True)
class _Waiting:
    answered: Answered
    said_at: float
    size_bytes: int
    confirmation: bytes | None = None
    confirmations: int = 0


class Conversation:
    """``max_waiting_bytes`` bounds commands without an answer, ``max_reply_bytes`` a reply that is not whole yet."""

    def __init__(self, pushed: Pushed, *, max_waiting_bytes: int, max_reply_bytes: int) -> None:
        self._pushed = pushed
        self._max_waiting_bytes = max_waiting_bytes
        self._max_reply_bytes = max_reply_bytes
        self._waiting: deque[_Waiting] = deque()
        self._reader = Reader(replyError=_refused, notEnoughData=_NOT_ENOUGH)
        self._unread_bytes = 0
        self._over: str | None = None
        self.waiting_bytes = 0

    def __len__(self) -> int:
        """Commands that wait for their answer."""
        return len(self._waiting)

    @property
    def over(self) -> str | None:
        """Why nothing can be said any more."""
        return self._over

    def waits_since(self) -> float | None:
        """When the command was said whose answer is due next."""
        return self._waiting[0].said_at if self._waiting else None

    def say(self, command: Sequence[Word], answered: Answered, now: float, *, urgent: bool = False) -> bytes | Refused:
        """What to write; ``answered`` is then called once, later. A refusal: it is not said, and nobody is called.

        ``urgent`` has as much room again: what keeps a node alive is not refused because others have said much.
        """
        if self._over is not None:
            return Refused(AWAY, self._over)
        packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type]  # it is typed for one word
        waiting_bytes = self.waiting_bytes + len(packed)
        if waiting_bytes > self._max_waiting_bytes * (1 + urgent):
            return Refused(BACKLOG, f"{self.waiting_bytes} bytes of commands wait for their answers already")
        self.waiting_bytes = waiting_bytes
        self._waiting.append(_Waiting(answered, now, len(packed)))
        return packed

    def subscribe(self, verb: str, channels: Sequence[bytes], answered: Answered, now: float) -> bytes | Refused:
        """As ``say`` for (S)SUBSCRIBE and (S)UNSUBSCRIBE: answered ``None`` when every channel is confirmed."""
        packed = self.say((verb, *channels), answered, now, urgent=True)
        if not isinstance(packed, Refused):
            last = self._waiting[-1]
            last.confirmation = verb.lower().encode()
            last.confirmations = len(channels)
        return packed

    def hear(self, data: bytes) -> str | None:
        """Take what was read. A fault: this is no RESP3 that we can follow, and nothing more of it is to be trusted."""
        self._unread_bytes += len(data)
        reply = self._read(data)
        while reply is not _NOT_ENOUGH and self._over is None:
            if reply.__class__ is _Fault:
                return str(reply)
            self._unread_bytes = 0
            if isinstance(reply, PushNotification):
                self._take_push(reply)
            else:
                if not self._waiting or (self._waiting[0].confirmation and not isinstance(reply, Refused)):
                    return _OUT_OF_STEP
                self._answer(reply)
            reply = self._read(b"")
        if self._unread_bytes > self._max_reply_bytes:
            return f"a reply has more than {self._max_reply_bytes} bytes"
        return None

    def end(self, why: str) -> None:
        """The connection is no more: whatever waits is ``Unknown``, and nothing can be said. Idempotent."""
        if self._over is None:
            self._over = why
            unknown = Unknown(why)
            while self._waiting:
                self._answer(unknown)

    def _read(self, data: bytes) -> Any:
        try:
            if data:
                self._reader.feed(data)
            return self._reader.gets()
        except Exception as error:  # whatever a hostile stream makes of the parser
            return _Fault(f"it speaks no RESP3: {error or type(error).__name__}")

    def _take_push(self, push: Sequence[Any]) -> None:
        head = self._waiting[0] if self._waiting else None
        if head is not None and push and push[0] == head.confirmation:
            head.confirmations -= 1
            if not head.confirmations:
                self._answer(None)
        else:
            self._pushed(push)

    def _answer(self, reply: Any) -> None:
        waiting = self._waiting.popleft()
        self.waiting_bytes -= waiting.size_bytes
        waiting.answered(reply)


class _Fault(str):
    __slots__ = ()


def _refused(text: str) -> Refused:
    code, _, message = text.partition(" ")
    return Refused(code, message)
