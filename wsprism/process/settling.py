"""What a process sets once its gateway serves: how the interpreter collects and switches threads."""

from __future__ import annotations

import gc
import sys
from typing import Final

__all__ = ["settle_interpreter"]

_GC_THRESHOLDS: Final = (5_000, 2, 400)
"""Of the cyclic collector: the message path makes no cycles, only connections do, so that it looks seldom.

The two young generations are small, for while one is looked through nobody is served: with a thousand connections a
second some 10 ms at a time. All that lives is looked through no more often than with 50,000, 10 and 10, where the
second generation alone took a quarter of a second."""

_SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread of telemetry may hold up the event loop before it has to let it go on (Python: 5 ms)."""


def settle_interpreter() -> None:
    """What is there now stays: it is never looked at again by the collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
