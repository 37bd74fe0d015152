"""Processes that a benchmark starts: how they are ended, and what is said of one that does not run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

__all__ = ["ServerFailedError", "stop"]

_STOP_WITHIN_S = 5.0


class ServerFailedError(Exception):
    """A server did not start, or ended by itself. ``output`` is the end of what it printed."""

    def __init__(self, name: str, output: str) -> None:
        super().__init__(name, output)
        self.name = name
        self.output = output

    def __str__(self) -> str:
        return f"{self.name} does not run:\n{self.output}"


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL to the process's own session if it does not end in time."""
    process.terminate()
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
