"""The exit codes that scripts rely on; docs/cli.md lists them."""

from __future__ import annotations

from typing import Final

__all__ = ["FAILED", "INTERRUPTED", "OK", "USAGE"]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
"""Wrong usage, or a wrong configuration."""
INTERRUPTED: Final = 130
