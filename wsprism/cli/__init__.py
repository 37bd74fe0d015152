"""The command line: one file a command, each with ``add`` (its arguments) and ``run`` (arguments in, exit code out).

A command imports what it needs inside ``run``: every command starts as fast as it can, and ``start`` holds nothing in
memory that another one needs. Nothing below the command line knows it.
"""

from wsprism.cli.dispatch import main

__all__ = ["main"]
