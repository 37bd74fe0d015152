"""The last of a process: what the operator's code has begun may not keep it from ending.

The gateway has stopped, everybody has been told. What is left is to cancel tasks and to wait for threads, and code in
Python can refuse to end either: a task that catches its cancellation for ever, a thread that sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import Any, Final

__all__ = ["END_WITHIN_S", "end_soon"]

END_WITHIN_S: Final = 5.0
_MOST_NAMES: Final = 10

_log = logging.getLogger("wsprism.gateway")


def end_soon(loop: asyncio.AbstractEventLoop, within_s: float = END_WITHIN_S) -> None:
    """The process ends within so long, in order or without it. Whatever is then left is named in the log."""
    threading.Thread(target=_end, args=(loop, within_s), name="wsprism-end", daemon=True).start()


def _end(loop: asyncio.AbstractEventLoop, within_s: float) -> None:
    time.sleep(within_s)
    _log.error(
        "tasks or threads of a service do not end: the process ends without them",
        extra={"tasks": _tasks(loop), "threads": _threads()},
    )
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(0)


def _tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Those that are not done, by function, file and line."""
    return [_where(task.get_coro()) for task in asyncio.all_tasks(loop)][:_MOST_NAMES]


def _where(coroutine: Any) -> str:
    """Its function, file and line."""
    name = getattr(coroutine, "__qualname__", repr(coroutine)[:80])
    code = getattr(coroutine, "cr_code", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _threads() -> list[str]:
    """Those that a process waits for."""
    return [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()][
        :_MOST_NAMES
    ]
