"""The bounds and weights of one outbound queue, as values shared by all queues of a tenant.

Made by whoever compiles the configuration, which has checked the ranges; only queues read it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QueueLimits"]


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds are inclusive; an empty class takes any single message. Weights are the shares of bytes, 1 or more.

    ``hot_max_bytes`` is for queues whose ``hot_max_frames`` alone would let too much wait.
    """

    control_max_messages: int = 256
    reliable_max_bytes: int = 1_048_576
    reliable_max_messages: int = 8192
    hot_max_frames: int = 512
    hot_max_bytes: int = 1 << 62
    reliable_weight: int = 1
    hot_weight: int = 1
