"""What the kernel has given a process: measures on a machine that others use as well."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["Scheduled"]


class Scheduled(NamedTuple):
    """Of the main thread, since it began."""

    ran_s: float
    waited_s: float
    """It was to run, and others had the CPU."""

    @classmethod
    def of(cls, pid: int) -> Self:
        ran_ns, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
        return cls(int(ran_ns) / 1e9, int(waited_ns) / 1e9)

    def since(self, before: Scheduled) -> Scheduled:
        return Scheduled(self.ran_s - before.ran_s, self.waited_s - before.waited_s)
