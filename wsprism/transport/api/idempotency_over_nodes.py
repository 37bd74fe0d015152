"""Idempotency keys where other nodes share the tenant: a call is begun where its key could be claimed, once.

Whoever comes with the key to another node gets the first answer, or hears that the call is under way. A node that dies
forgets what it had under way.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from wsprism.ports import Claim, KeyTaken, SharedState, Unavailable
from wsprism.transport.api.asked import asked
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.remembered import LIFETIME_S, OTHER_BODY, UNDER_WAY, Answered

__all__ = ["once_over_nodes"]


class _Kept(msgspec.Struct, array_like=True):
    status: int
    body: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_read: Final = msgspec.msgpack.Decoder(_Kept).decode


async def once_over_nodes(
    shared: SharedState, name: bytes, digest: bytes, call: Callable[[], Coroutine[Any, Any, Answered | Problem]]
) -> Answered | Problem:
    """What ``call`` answers, or what it has answered on another node."""

    def nobody_waits(found: object) -> None:
        if isinstance(found, Claim):
            shared.settle(found, b"", LIFETIME_S)

    def ask(done: Callable[[Claim | KeyTaken | Unavailable], None]) -> None:
        shared.claim(name, digest, LIFETIME_S, done)

    found: Claim | KeyTaken | Problem = await asked(ask, nobody_waits)
    if isinstance(found, Problem):
        return found
    if isinstance(found, KeyTaken):
        if found.digest != digest:
            return OTHER_BODY
        return UNDER_WAY if found.answer is None else _answered(found.answer)
    kept = b""
    try:
        answer = await call()
        if isinstance(answer, Answered):
            kept = _encode(_Kept(answer.status, answer.body))
    finally:
        shared.settle(found, kept, LIFETIME_S)
    return answer


def _answered(body: bytes) -> Answered:
    kept = _read(body)
    return Answered(kept.status, kept.body)
