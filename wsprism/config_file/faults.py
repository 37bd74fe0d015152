"""What is wrong with a configuration, one value per fault, and the exception that carries all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsprism.errors import OperatorError

__all__ = ["Fault", "SettingsError"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``path`` is the key's (``tenants[0].limits.max_frame_bytes``), ``line`` counts from 1 (0: unknown).

    ``elsewhere``: ``file`` is not the configuration's own but one that it names, and ``line`` is one of that.
    """

    file: str
    line: int
    path: str
    problem: str
    elsewhere: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}: {self.problem}" if self.path else f"{where}: {self.problem}"


class SettingsError(OperatorError):
    """The configuration cannot be used; ``faults`` has all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))
