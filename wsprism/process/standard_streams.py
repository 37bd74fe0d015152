"""Standard input, output and error, whatever they are when the process begins: closed, full, or with nobody behind.

A closed descriptor is filled with the null device before anything else opens a file: a socket that got its number
would be written to by whoever prints, and libuv ends the process for closing one. What cannot be written is nobody's
failure: a gateway goes on without the reader of its output.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final, TextIO

__all__ = ["fill_standard_streams", "let_go", "say", "share_a_file"]

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def fill_standard_streams() -> None:
    """Open what is closed. Idempotent; to be called first."""
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one, all below it being open
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def say(line: str) -> None:
    """On standard output. A terminal that lacks a character shows another one; nobody there is no failure."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(line.encode(encoding, "replace").decode(encoding), flush=True)
    except (OSError, ValueError):
        let_go(sys.stdout)


def let_go(stream: TextIO) -> None:
    """Send what ``stream`` still holds, and all that follows, nowhere: it would fail again when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()


def share_a_file(one: TextIO, other: TextIO) -> bool:
    """Whether both are the same file, pipe or terminal, so that lines of one stand among lines of the other."""
    try:
        first, second = os.fstat(one.fileno()), os.fstat(other.fileno())
    except (OSError, ValueError):
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
