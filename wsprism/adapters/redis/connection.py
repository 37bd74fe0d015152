"""One connection to Redis: a ``Conversation`` on a socket, with a clock.

What is said in one turn of the loop is written at once. Its loss is known at once: by the socket, or because Redis owes
an answer for too long (it is asked each second). It is never replaced behind anybody's back: a lost connection stays
lost, whoever owned it opens another. How long an answer takes is known from what it is asked then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wsprism.adapters.redis.address import Credentials
from wsprism.adapters.redis.errors import RedisUnreachable
from wsprism.adapters.redis.protocol import Answered, Conversation, Pushed, Refused, Unknown, Word
from wsprism.adapters.redis.server import Server, check_refusal, read_server

__all__ = ["Bounds", "RedisConnection", "greet"]

TICK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Bounds:
    """``answer_s``: so long Redis may owe an answer. ``ping_s``: so often it is asked whether it is there."""

    answer_s: float = 1.0
    ping_s: float = 1.0
    connect_s: float = 2.0
    waiting_bytes: int = 8 * 1024 * 1024
    reply_bytes: int = 64 * 1024 * 1024


class RedisConnection(asyncio.Protocol):
    """``on_lost`` is told once, why, when everything that waited has been answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pushed: Pushed, bounds: Bounds) -> None:
        self.server: Server | None = None
        self.on_lost: Callable[[str], object] = lambda _: None
        self.on_round_trip: Callable[[float], object] = lambda _: None
        """Told how many seconds the answer to each PING has taken, with what waited before it."""
        self.loop = loop
        self._bounds = bounds
        self._talk = Conversation(pushed, max_waiting_bytes=bounds.waiting_bytes, max_reply_bytes=bounds.reply_bytes)
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []
        self._ended: asyncio.Future[None] = loop.create_future()
        self._ticked_at = loop.time()
        self._asked_at = time.monotonic()
        """By a finer clock than that of some loops, which counts whole milliseconds."""
        self._asks = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> str | None:
        """Why it is lost, if it is."""
        return self._talk.over

    @property
    def waiting_bytes(self) -> int:
        """Of commands that have no answer yet."""
        return self._talk.waiting_bytes

    # What its owner does

    def say(self, *command: Word, answered: Answered, urgent: bool = False) -> Refused | None:
        """Have a command carried out; ``answered`` is called once. A refusal: it is not, and nobody is called."""
        return self._write(self._talk.say(command, answered, self.loop.time(), urgent=urgent))

    def subscribe(self, verb: str, channels: Sequence[bytes], answered: Answered) -> Refused | None:
        """As ``say``, for what pushes confirm."""
        return self._write(self._talk.subscribe(verb, channels, answered, self.loop.time()))

    async def ask(self, *command: Word) -> Any:
        """The answer: a value, ``Refused`` or ``Unknown``. For beginnings and rare calls."""
        future: asyncio.Future[Any] = self.loop.create_future()

        def answered(answer: Any) -> None:
            if not future.done():
                future.set_result(answer)

        refused = self.say(*command, answered=answered)
        return refused if refused is not None else await future

    def abort(self, why: str) -> None:
        """Lose it now."""
        if self._talk.over is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._unwritten.clear()
        if self._transport is not None:
            self._transport.abort()
        self._talk.end(why)
        self.on_lost(why)

    async def close(self) -> None:
        """Lose it, and return when the socket is gone."""
        self.abort("closed")
        if self._transport is not None:
            await self._ended

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._ticked_at = self.loop.time()
        self._asked_at = time.monotonic()
        self._timer = self.loop.call_later(TICK_S, self._tick)

    def data_received(self, data: bytes) -> None:
        fault = self._talk.hear(data)
        if fault is not None:
            self.abort(fault)

    def connection_lost(self, error: Exception | None) -> None:
        self.abort("the connection was closed" if error is None else f"the connection was lost: {error}")
        if not self._ended.done():
            self._ended.set_result(None)

    def _write(self, packed: bytes | Refused) -> Refused | None:
        if isinstance(packed, Refused):
            return packed
        if not self._unwritten:
            self.loop.call_soon(self._flush)
        self._unwritten.append(packed)
        return None

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if self._transport is not None and unwritten:
            self._transport.write(b"".join(unwritten))

    def _tick(self) -> None:
        """A process that did not run for a while gives Redis's answers the time to be read."""
        now = self.loop.time()
        was_away = now - self._ticked_at > 2 * TICK_S
        self._ticked_at = now
        since = self._talk.waits_since()
        if since is not None and not was_away and now - since > self._bounds.answer_s:
            self.abort(f"Redis gave no answer within {self._bounds.answer_s:g} s")
            return
        if not self._asks and time.monotonic() - self._asked_at >= self._bounds.ping_s - TICK_S:
            self._asked_at = time.monotonic()
            self._asks = self.say("PING", answered=self._ponged, urgent=True) is None
        self._timer = self.loop.call_later(TICK_S, self._tick)

    def _ponged(self, answer: Any) -> None:
        self._asks = False
        if answer == b"PONG":
            self.on_round_trip(time.monotonic() - self._asked_at)
        elif not isinstance(answer, Unknown):
            self.abort(f"Redis gave another answer to PING: {answer!r}"[:200])


async def greet(
    connection: RedisConnection, where: str, name: str, credentials: Credentials | None, db: int = 0
) -> Server:
    """The first words on a connection. Raises OperatorError or RedisUnreachable."""
    words: list[Word] = ["HELLO", "3"]
    if credentials is not None:
        words += ["AUTH", credentials.user or "default", credentials.password]
    server = read_server(await told(connection, where, *words, "SETNAME", _client_name(name)), where)
    if db:
        await told(connection, where, "SELECT", db)
    connection.server = server
    return server


def _client_name(name: str) -> str:
    """Redis takes printable ASCII without spaces; an operator calls a node as he likes."""
    return "".join(one if "!" <= one <= "~" else "_" for one in name)


async def told(connection: RedisConnection, where: str, *command: Word) -> Any:
    """A command's value. Raises OperatorError or RedisUnreachable where there is none."""
    answer = await connection.ask(*command)
    if isinstance(answer, Refused):
        check_refusal(answer, where, str(command[0]))
    if isinstance(answer, Unknown):
        raise RedisUnreachable(f"Redis at {where} is away: {answer.why}")
    return answer
