"""What an author's code raised and where, in words, whatever its author has made of it: nothing here raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["RAISED", "where_of", "words_of"]

RAISED: Final = BaseException
"""What an author's code may raise and nobody but its own service shall feel. A gateway that runs gets Ctrl-C as a
signal of its loop, never as an exception."""

_LONGEST_WORDS: Final = 500


def words_of(error: BaseException) -> str:
    """An exception in one line."""
    try:
        name = str.__str__(type(error).__name__)
    except RAISED:
        name = "an exception"
    try:
        said = str.__str__(str(error))
    except RAISED:
        said = "(it cannot be shown)"
    text = f"{name}: {said}" if said else name
    return text if len(text) <= _LONGEST_WORDS else text[:_LONGEST_WORDS] + "…"


def where_of(function: Callable[..., Any]) -> str:
    """A function by its name, file and line."""
    try:
        name = str.__str__(getattr(function, "__qualname__", None) or type(function).__name__)
        code = getattr(function, "__code__", None)
        return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"
    except RAISED:
        return "a handler without a name"
