"""Steps an author's coroutine: it is known how long each step held the event loop, and its end cannot be ignored."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from wsprism.services.conduct import LONGEST_HOLD_S

__all__ = ["watched"]


@types.coroutine
def watched(
    coroutine: Coroutine[Any, Any, Any], held: Callable[[float], object], is_over: Callable[[], bool]
) -> Generator[Any, Any, Any]:
    """Await ``coroutine``; ``held`` is told of each step that took too long.

    A coroutine may catch its cancellation, to clean up. One that then goes on is closed at the second, or at the first
    if ``is_over``: its service has ended.
    """
    cancellations = 0
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        began = time.perf_counter()
        try:
            awaited = step()
        except StopIteration as end:
            return end.value
        finally:
            took_s = time.perf_counter() - began
            if took_s > LONGEST_HOLD_S:
                held(took_s)
        if cancellations > 1 or (cancellations and is_over()):
            coroutine.close()
            raise asyncio.CancelledError
        try:
            value = yield awaited
        except asyncio.CancelledError as cancelled:
            cancellations += 1
            error: BaseException = cancelled
            step = lambda error=error: coroutine.throw(error)  # type: ignore[misc]  # noqa: E731
        except BaseException as raised:
            step = lambda raised=raised: coroutine.throw(raised)  # type: ignore[misc]  # noqa: E731
        else:
            step = lambda value=value: coroutine.send(value)  # type: ignore[misc]  # noqa: E731
