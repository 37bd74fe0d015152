"""The errors of this package: all of them are the caller's mistakes, none happens on the message path.

QosError
  ConflationSyntaxError   operator: not a conflation rule
  BlockError              us: frames that cannot make a block
"""

from __future__ import annotations

__all__ = ["BlockError", "ConflationSyntaxError", "QosError"]


class QosError(ValueError):
    """Root of the package's errors."""


class ConflationSyntaxError(QosError):
    """``text`` is no conflation rule."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"found {self.text!r}, allowed: none, sender, sender_opcode, key:<n> with n of 1 or more"


class BlockError(QosError):
    """A block holds at least one frame, and no control frame."""
