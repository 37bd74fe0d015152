"""What a port answers by a callback, waited for, by whoever is no actor: a handshake, a call of the internal API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["answer_of"]

T = TypeVar("T")


async def answer_of(
    ask: Callable[[Callable[[T], None]], object], timeout_s: float, late: Callable[[T], object] | None = None
) -> T | None:
    """What is answered to ``ask``; None: nothing in time. ``late`` is told then, when the answer comes after all."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(value: T) -> None:
        if not answer.done():
            answer.set_result(value)
        elif late is not None:
            late(value)

    ask(done)
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        return None
