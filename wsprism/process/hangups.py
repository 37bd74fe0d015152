"""SIGHUP before anybody can act on it: it asks for a reload, and must not end a gateway that is still starting."""

from __future__ import annotations

import functools
import signal
from types import FrameType

__all__ = ["Hangups", "hold_hangups"]


class Hangups:
    """From its construction on SIGHUP is remembered, unless the process was told to ignore it (nohup)."""

    def __init__(self) -> None:
        self.came = False
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.came = True


@functools.cache
def hold_hangups() -> Hangups:
    """This process's own, from the first call on."""
    return Hangups()
