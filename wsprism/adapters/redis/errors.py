"""What may be wrong with Redis itself. What an operator must change is an ``OperatorError``; the rest passes."""

from __future__ import annotations

from wsprism.errors import WsPrismError

__all__ = ["RedisUnreachable"]


class RedisUnreachable(WsPrismError):
    """There is no Redis to talk to now; the message says why. It may be tried again."""
