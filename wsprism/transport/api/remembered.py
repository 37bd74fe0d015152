"""What calls with an ``Idempotency-Key`` are answered besides their own answers, on one node and over many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsprism.transport.api.problems import Problem

__all__ = ["LIFETIME_S", "OTHER_BODY", "UNDER_WAY", "Answered"]

LIFETIME_S: Final = 600.0

OTHER_BODY: Final = Problem(422, "this Idempotency-Key was used with another body")
UNDER_WAY: Final = Problem(
    409,
    "the call with this Idempotency-Key is still under way: ask again for its answer",
    headers={"Retry-After": "1"},
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that was carried out: what its caller is told."""

    status: int
    body: bytes
