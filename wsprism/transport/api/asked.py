"""What a port answers by a callback, or the problem that there is no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from wsprism.ports import Unavailable
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.tenant.over_nodes import refusal_of
from wsprism.realtime.waiting import answer_of
from wsprism.transport.api.problems import Problem, problem_of

__all__ = ["asked"]

T = TypeVar("T")

_TIMEOUT_S: Final = 10.0
_TIMEOUT: Final = Problem(503, "no answer in time", ErrorCode.TIMEOUT, {"Retry-After": "1"})


async def asked(
    ask: Callable[[Callable[[T | Unavailable], None]], object], late: Callable[[T | Unavailable], object] | None = None
) -> T | Problem:
    """What is answered to ``ask``; why there is nothing, else. ``late`` is told what comes behind that."""
    value = await answer_of(ask, _TIMEOUT_S, late)
    if value is None:
        return _TIMEOUT
    return problem_of(refusal_of(value)) if isinstance(value, Unavailable) else value
