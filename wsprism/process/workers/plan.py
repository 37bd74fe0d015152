"""Pure decisions of a parent: who accepts what, and when what has died is started again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

__all__ = ["LIVED_LONG_S", "accepting", "preferred", "restart_after_s"]

LIVED_LONG_S: Final = 30.0
"""Whoever has lived so long is no one who dies at each start."""

_FIRST_S: Final = 0.2
_MOST_S: Final = 30.0


def accepting(slots: int, numbers: Sequence[int], there: Collection[int]) -> dict[int, list[int]]:
    """The slots that each worker of ``there`` accepts from: its own, and those whose worker is not there, in turn.

    ``numbers`` are all workers', the first of which has the first slot. With fewer slots than workers all share them.
    """
    if slots < len(numbers):
        return {number: list(range(slots)) for number in there}
    taken: dict[int, list[int]] = {number: [] for number in there}
    stand_ins = sorted(taken)
    turn = 0
    for slot, number in enumerate(numbers):
        if number in taken:
            taken[number].append(slot)
        elif stand_ins:
            taken[stand_ins[turn % len(stand_ins)]].append(slot)
            turn += 1
    return taken


def preferred(there: Mapping[int, bool]) -> list[int]:
    """Of the workers that listen those that are ready; all where none is: they tell clients why they are not."""
    return [number for number, ready in there.items() if ready] or list(there)


def restart_after_s(failures: int) -> float:
    """How long to wait with the next start after so many ends in a row."""
    return min(_FIRST_S * float(1 << min(failures - 1, 20)), _MOST_S)
