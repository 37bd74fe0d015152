"""Tells from sequence numbers what was lost: each sender numbers its messages, each receiver looks for gaps. Pure."""

from __future__ import annotations

__all__ = ["Gaps", "parse_note", "write_note"]


class Gaps:
    """One receiver's view of all senders. What comes before a sender's first seen message is not a loss."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def observe(self, sender: str, number: int) -> int:
        """How many of the sender's messages are missing just before this one; a repeated or older one adds none."""
        expected = self._next.get(sender, number)
        self._next[sender] = max(expected, number + 1)
        return max(0, number - expected)


def write_note(sender: str, number: int, sent_s: float) -> str:
    """A message's text: who, its number, and when it was sent, padded to about 60 characters."""
    return f"{sender} {number} {sent_s:.6f} ".ljust(60, ".")


def parse_note(text: str) -> tuple[str, int, float] | None:
    """The sender, number and time of ``write_note``'s text; None for any other."""
    fields = text.split(" ", 3)
    try:
        return fields[0], int(fields[1]), float(fields[2])
    except (IndexError, ValueError):
        return None
