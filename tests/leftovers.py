"""What is left of something that has ended, without the collector of cycles: it looks at everything seldom."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["leftovers"]


@contextmanager
def leftovers() -> Iterator[Counter[type]]:
    """Holds the collector back; when the block has ended, how many more objects of each type there are than before."""
    gc.collect()
    gc.disable()
    left = Counter[type]()
    before = Counter(type(one) for one in gc.get_objects())
    try:
        yield left
        left.update(type(one) for one in gc.get_objects())
        left.subtract(before)
    finally:
        gc.enable()
