"""What a port answers by a callback, waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from wsprism.ports import Unavailable
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.tenant.over_nodes import refusal_of
from wsprism.transport.api.problems import Problem, problem_of

__all__ = ["asked"]

T = TypeVar("T")

_TIMEOUT_S: Final = 10.0
_TIMEOUT: Final = Problem(503, "no answer in time", ErrorCode.TIMEOUT, {"Retry-After": "1"})


async def asked(ask: Callable[[Callable[[T | Unavailable], None]], object]) -> T | Problem:
    """What is answered to ``ask``; why there is nothing, else."""
    answer: asyncio.Future[T | Unavailable] = asyncio.get_running_loop().create_future()

    def done(value: T | Unavailable) -> None:
        if not answer.done():
            answer.set_result(value)

    ask(done)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            value = await answer
    except TimeoutError:
        return _TIMEOUT
    return problem_of(refusal_of(value)) if isinstance(value, Unavailable) else value
