"""The cursors of paged lists: a number that an item keeps for life, so that whoever comes or goes shifts nothing."""

from __future__ import annotations

from typing import Final

__all__ = ["read_cursor", "show_cursor"]

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def read_cursor(cursor: str | None) -> int:
    """The number behind which the page begins. The cursor was checked by its model."""
    return 0 if cursor is None else int(cursor, len(_DIGITS))


def show_cursor(number: int | None) -> str | None:
    """The cursor of the page behind ``number``, which is not negative; None: there is none."""
    if number is None:
        return None
    digits = ""
    while number or not digits:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
