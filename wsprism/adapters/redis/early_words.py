"""What the stream says while openings have no answer: it may be of their sessions, so it is said again behind them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["EarlyWords"]


class EarlyWords:
    """Openings are known by numbers that grow; ``later`` calls in a later turn of the loop."""

    def __init__(self, later: Callable[[Callable[[], object]], object]) -> None:
        self._later = later
        self._last = 0
        self._opening: dict[int, None] = {}
        self._said: list[tuple[int, Callable[[], object]]] = []
        """Each with the last opening that there was before it."""

    def begins(self, number: int) -> None:
        """An opening is asked for."""
        self._last = number
        self._opening[number] = None

    def ends(self, number: int) -> None:
        """It has its answer."""
        del self._opening[number]
        if self._said:
            self._later(self._say_again)

    def say(self, what: Callable[[], object]) -> None:
        """Now; and again once all openings of now have their answers."""
        what()
        if self._opening:
            self._said.append((self._last, what))

    def _say_again(self) -> None:
        oldest = next(iter(self._opening), self._last + 1)
        said, self._said = self._said, []
        for number, what in said:
            what()
            if number >= oldest:
                self._said.append((number, what))
