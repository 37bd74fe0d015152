"""The exit codes that scripts rely on, which docs/cli.md lists, and the error that is wrong usage."""

from __future__ import annotations

from typing import Final

from wsprism.errors import OperatorError

__all__ = ["FAILED", "INTERRUPTED", "OK", "USAGE", "UsageError"]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
"""Wrong usage, or a wrong configuration."""
INTERRUPTED: Final = 130


class UsageError(OperatorError):
    """Arguments that do not fit together, or name what is not there."""
