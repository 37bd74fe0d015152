"""Whether those who should have the same have it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

__all__ = ["who_differs"]


def who_differs(has: Mapping[int, str]) -> set[int]:
    """Whoever has something else than most; of two that as many have, what the lowest number has is the rule.

    So all who look at the same see the same.
    """
    counts = Counter(has.values())
    if len(counts) < 2:
        return set()
    oldest = {what: min(number for number, one in has.items() if one == what) for what in counts}
    rule = min(counts, key=lambda what: (-counts[what], oldest[what]))
    return {number for number, what in has.items() if what != rule}
