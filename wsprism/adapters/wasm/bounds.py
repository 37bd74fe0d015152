"""What a guest may use and how it can fail, as values. Knows nothing of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "MAX_MEMORY_BYTES",
    "MAX_MODULE_BYTES",
    "MAX_TABLE_ELEMENTS",
    "Bounds",
    "Cause",
    "GuestFault",
    "ModuleRefused",
]

MAX_MODULE_BYTES: Final = 4 * 1024 * 1024
MAX_TABLE_ELEMENTS: Final = 10_000
MAX_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""The most that ``Bounds`` may allow: a bulk operation is charged late, so memory bounds time too."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each call (``fuel``, ``output_bytes``, ``effects``) and of an instance (``memory_bytes``)."""

    fuel: int = 1_000_000
    memory_bytes: int = 4 * 1024 * 1024
    output_bytes: int = 65_536
    effects: int = 16


class Cause(StrEnum):
    """What kind of fault it was; a metric's label."""

    START = "start"
    """No instance could be made, or it refused to start."""
    FUEL = "fuel"
    TIME = "time"
    """It took much longer than its fuel says."""
    TRAP = "trap"
    MEMORY = "memory"
    """It named memory that it does not have."""
    ANSWER = "answer"
    """Its answer cannot be used."""


class GuestFault(Exception):
    """A call of a guest that gave nothing. ``words`` are for operators; its instance is to be thrown away."""

    def __init__(self, cause: Cause, words: str) -> None:
        super().__init__(cause, words)
        self.cause = cause
        self.words = words

    def __str__(self) -> str:
        return self.words


class ModuleRefused(Exception):
    """A module that can be no service: the operator has to give another one."""
