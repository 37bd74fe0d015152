"""Token buckets, and how a connection's and its tenant's bucket decide together."""

from __future__ import annotations

from enum import StrEnum

from qos.native import mypyc_attr

__all__ = ["RateLimiter", "RateScope", "TokenBucket"]


_QUIET_S = 1.0


@mypyc_attr(acyclic=True)
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

    def configure(self, rate_per_s: float, burst: float, now: float) -> None:
        """Take another rate from ``now`` on; what has gathered is kept, as far as the new burst allows."""
        self.has_token(now)
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = min(self._tokens, float(burst))

    @property
    def rate_per_s(self) -> float:
        """Tokens per second."""
        return self._rate_per_s

    def has_token(self, now: float) -> bool:
        """Whether ``take`` would succeed."""
        elapsed_s = now - self._updated_at
        if elapsed_s > 0:
            self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s)
            self._updated_at = now
        return self._tokens >= 1

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        tokens = self._tokens
        elapsed_s = now - self._updated_at
        if elapsed_s > 0:
            tokens = min(self._burst, tokens + elapsed_s * self._rate_per_s)
            self._updated_at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True

    def retry_after_s(self, now: float) -> float:
        """Seconds until there is a token; 0 when there is one."""
        return 0.0 if self.has_token(now) else (1 - self._tokens) / self._rate_per_s


class RateScope(StrEnum):
    """Whose bucket a message is charged to."""

    CONNECTION = "connection"
    TENANT = "tenant"
    BOTH = "both"


@mypyc_attr(acyclic=True)
class RateLimiter:
    """One connection's view of its limits. No bucket is charged for a message that the other one refuses.

    A connection is over its limit from its first refused message until none has been refused for a while (a second,
    ``close_after_s`` or two tokens' time). That some messages pass in between, as they do at the bucket's own rate,
    does not end it. What the tenant's bucket refuses is not held against a connection that has one of its own.
    """

    __slots__ = ("_alone", "_close_after_s", "_connection", "_held_against_it", "_over_since", "_refused_at", "_tenant")

    def __init__(
        self, *, connection: TokenBucket | None, tenant: TokenBucket | None, close_after_s: float = 0.0
    ) -> None:
        self._over_since: float | None = None
        self._refused_at = 0.0
        self._held_against_it = False
        self.configure(connection=connection, tenant=tenant, close_after_s=close_after_s)

    def configure(self, *, connection: TokenBucket | None, tenant: TokenBucket | None, close_after_s: float) -> None:
        """Take other buckets; how long the connection has been over its limit is kept."""
        self._connection = connection
        self._tenant = tenant
        self._close_after_s = close_after_s
        self._alone = connection if tenant is None and not close_after_s else None

    @property
    def own_bucket(self) -> TokenBucket | None:
        """The connection's own bucket; None: only its tenant's counts."""
        return self._connection

    def allow(self, now: float) -> bool:
        """Charge one message, or refuse it."""
        alone = self._alone
        if alone is not None:
            return alone.take(now)
        connection, tenant = self._connection, self._tenant
        if tenant is None and connection is not None:
            if connection.take(now):
                return True
            self._refused(connection, now)
            return False
        if connection is not None and not connection.has_token(now):
            self._refused(connection, now)
            return False
        if tenant is not None and not tenant.take(now):
            self._held_against_it = False
            if connection is None:
                self._refused(tenant, now)
            return False
        if connection is not None:
            connection.take(now)
        return True

    def must_close(self, now: float) -> bool:
        """Whether it has been over its limit for ``close_after_s`` (0: never). To be asked after a refusal.

        Of a refusal that is not held against it the answer is no, whatever was before.
        """
        over_since = self._over_since
        if not self._close_after_s or over_since is None or not self._held_against_it:
            return False
        return now - over_since >= self._close_after_s

    def _refused(self, bucket: TokenBucket, now: float) -> None:
        if not self._close_after_s:
            return
        self._held_against_it = True
        quiet_s = max(min(_QUIET_S, self._close_after_s), 2 / bucket.rate_per_s)
        if self._over_since is None or now - self._refused_at > quiet_s:
            self._over_since = now
        self._refused_at = now
