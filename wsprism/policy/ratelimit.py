"""Token buckets, and how a connection's and its tenant's bucket decide together."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["RateLimiter", "RateScope", "TokenBucket"]


class TokenBucket:
    """Up to ``burst`` tokens, refilled at ``rate_per_s``; full at ``now``. A clock that goes back refills nothing."""

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_at")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise ValueError("a bucket needs a rate above 0 and a burst of at least 1")
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._updated_at = now

    def has_token(self, now: float) -> bool:
        """Whether ``take`` would succeed."""
        elapsed_s = now - self._updated_at
        if elapsed_s > 0:
            self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s)
            self._updated_at = now
        return self._tokens >= 1

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        if not self.has_token(now):
            return False
        self._tokens -= 1
        return True

    def retry_after_s(self, now: float) -> float:
        """Seconds until there is a token; 0 when there is one."""
        return 0.0 if self.has_token(now) else (1 - self._tokens) / self._rate_per_s


class RateScope(StrEnum):
    """Whose bucket a message is charged to."""

    CONNECTION = "connection"
    TENANT = "tenant"
    BOTH = "both"


class RateLimiter:
    """One connection's view of its limits. No bucket is charged for a message that the other one refuses."""

    __slots__ = ("_close_after_s", "_connection", "_over_since", "_tenant")

    def __init__(
        self, *, connection: TokenBucket | None, tenant: TokenBucket | None, close_after_s: float = 0.0
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._close_after_s = close_after_s
        self._over_since: float | None = None

    def allow(self, now: float) -> bool:
        """Charge one message, or refuse it."""
        connection, tenant = self._connection, self._tenant
        if tenant is None:
            allowed = connection is None or connection.take(now)
        else:
            allowed = (connection is None or connection.has_token(now)) and tenant.take(now)
            if allowed and connection is not None:
                connection.take(now)
        if allowed:
            self._over_since = None
        elif self._over_since is None:
            self._over_since = now
        return allowed

    def must_close(self, now: float) -> bool:
        """Whether every message has been refused for ``close_after_s`` (0: never)."""
        return (
            bool(self._close_after_s) and self._over_since is not None and now - self._over_since >= self._close_after_s
        )
