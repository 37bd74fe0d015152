"""Terminal output through rich: coloured on a terminal, plain when piped or with NO_COLOR. Imported only when shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["open_console", "visible"]


def open_console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is: nothing in it is markup, and piped lines are not wrapped."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def visible(text: str) -> str:
    """``text`` with everything that a terminal would obey, or not show, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
