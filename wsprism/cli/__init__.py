"""The command line: one file a command, each with ``add`` (its arguments) and ``run`` (arguments in, exit code out).

A command imports what it needs inside ``run``: every command starts as fast as it can, and ``start`` holds nothing in
memory that another one needs. Nothing below the command line knows it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's own) and return its exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given and (given[0] == "start" or given[0].startswith("--config")):
        from wsprism.process.hangups import hold_hangups

        hold_hangups()  # before anything that takes its time to import
    from wsprism.cli import dispatch

    return dispatch.main(argv)
