"""Who is locked out, as a node knows it: what Redis is told before anybody gets in where it may have lost that.

A node has heard of all revocations since its start. One that begins anew cannot tell whether Redis has only cleaned up
after it, or has lost its data, or is another primary that lacks the last of what was acknowledged: so it says all. Of
two revocations of one name the longer stays; one that was lifted later than it was said stays lifted, as long as Redis
remembers the lift.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.protocol import Refused, Unknown, Word
from wsprism.adapters.redis.scripts import call, script
from wsprism.adapters.redis.tenant_calls import CallsNode
from wsprism.policy.expiring import ExpiringTable
from wsprism.policy.revocation import MAX_REVOCATIONS, Revocable

__all__ = ["KnownRevocations", "Restoring"]

_AT_ONCE: Final = 500
_ASK_AGAIN_S: Final = 1.0


class KnownRevocations:
    """Those that this node has heard of and that are in force, with when each was said by Redis's clock."""

    def __init__(self) -> None:
        self._table: ExpiringTable[tuple[Revocable, str], tuple[int, str]] = ExpiringTable(MAX_REVOCATIONS)

    def told(self, what: Revocable, name: str, until_s: float, reason: str, said_ms: int | None = None) -> None:
        """``until_s`` 0: it was lifted. ``said_ms`` None: nobody knows, but it is in force now."""
        now_s = time.time()
        said = int(now_s * 1000) if said_ms is None else said_ms
        self._table.put((what, name), (said, reason), until_s, now_s)

    def page(self, after: int) -> tuple[list[Word], int | None]:
        """Words for the script of some behind the number ``after``, with the last one's number if there are more."""
        found, last = self._table.page(after, _AT_ONCE, time.time())
        words: list[Word] = []
        for (what, name), (said_ms, reason), until_s in found:
            words += [what.value, name, int(until_s * 1000), reason, said_ms]
        return words, last


class Restoring:
    """Says what is ``known``, some at a time; whoever waits for it is told once Redis has all of it."""

    def __init__(self, node: CallsNode, prefix: bytes, known: KnownRevocations) -> None:
        self._node = node
        self._prefix = prefix
        self._known = known
        self._desk: RedisConnection | None = None
        self._again: asyncio.TimerHandle | None = None

    def begin(self, desk: RedisConnection, done: Callable[[], object]) -> None:
        """Over this connection. ``done`` is called before it returns where nothing is known."""
        self._desk = desk
        self._say(0, done)

    def stop(self) -> None:
        """There is no connection; nobody waits any more."""
        self._desk = None
        if self._again is not None:
            self._again.cancel()

    def _say(self, after: int, done: Callable[[], object]) -> None:
        desk = self._desk
        if desk is None:
            return
        words, last = self._known.page(after)
        if not words:
            done()
            return

        def answered(answer: Any) -> None:
            if desk is not self._desk or isinstance(answer, Unknown):
                return
            match answer:
                case [b"OK", _, int() as without_room]:
                    if without_room:
                        self._node.strange("restore", f"{without_room} revocations have no room")
                    if last is None:
                        done()
                    else:
                        self._say(last, done)
                case [b"FENCED"]:
                    self._node.fenced()
                case _:
                    self._node.strange("restore", answer)
                    self._say_again(after, done)

        arguments: Sequence[Word] = [self._node.incarnation, MAX_REVOCATIONS, *words]
        refused: Refused | None = call(desk, script("restore"), self._prefix, arguments, answered)
        if refused is not None:
            self._say_again(after, done)

    def _say_again(self, after: int, done: Callable[[], object]) -> None:
        if self._desk is not None:
            self._again = asyncio.get_running_loop().call_later(_ASK_AGAIN_S, self._say, after, done)
