"""How many examples a property is tried on: all of them, unless WSPRISM_EXAMPLES says which share of them is
enough, or that there are to be several times as many.

They are the same on every Python, so that CI tries all on one Python and the first of them on the others.
"""

from __future__ import annotations

import os

__all__ = ["examples"]

_SHARE = float(os.environ.get("WSPRISM_EXAMPLES", "1"))


def examples(number: int) -> int:
    """What this run tries where ``number`` would be all."""
    return max(1, round(number * _SHARE))
