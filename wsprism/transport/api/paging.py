"""The cursors of paged lists: a number that an item keeps for life, so that whoever comes or goes shifts nothing."""

from __future__ import annotations

import re
from typing import Final

from wsprism.transport.api.problems import Problem

__all__ = ["number_after", "show_cursor"]

_is_cursor = re.compile(r"[0-9a-z]{1,16}").fullmatch
_BAD_CURSOR: Final = Problem(400, "cursor must be the next_cursor of a page of this list")


def number_after(cursor: str | None) -> int | Problem:
    """The number behind which the page begins."""
    if cursor is None:
        return 0
    return int(cursor, 36) if _is_cursor(cursor) else _BAD_CURSOR


def show_cursor(number: int | None) -> str | None:
    """The cursor of the page behind ``number``, in base 36; None: there is none."""
    if number is None:
        return None
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits
