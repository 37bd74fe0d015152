"""Token buckets, and a connection's and its tenant's bucket deciding together."""

from __future__ import annotations

import pytest

from wsprism.policy.ratelimit import RateLimiter, TokenBucket


def taken(bucket: TokenBucket, now: float, tries: int = 20) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_a_bucket_starts_full() -> None:
    assert taken(TokenBucket(1, 5, now=100.0), 100.0) == 5


def test_tokens_come_back_at_the_rate() -> None:
    bucket = TokenBucket(2, 5, now=0.0)
    assert taken(bucket, 0.0) == 5
    assert not bucket.take(0.25)
    assert taken(bucket, 1.5) == 3


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(1000, 5, now=0.0)
    assert taken(bucket, 0.0) == 5
    assert taken(bucket, 3600.0) == 5


def test_a_refused_take_costs_nothing() -> None:
    bucket = TokenBucket(1, 1, now=0.0)
    assert bucket.take(0.0)
    assert taken(bucket, 0.5) == 0
    assert bucket.take(1.0)


def test_a_clock_that_goes_back_refills_nothing() -> None:
    bucket = TokenBucket(1, 1, now=10.0)
    assert bucket.take(10.0)
    assert not bucket.take(0.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)


def test_retry_after_is_the_time_until_the_next_token() -> None:
    bucket = TokenBucket(4, 1, now=0.0)
    assert bucket.retry_after_s(0.0) == 0
    assert bucket.take(0.0)
    assert bucket.retry_after_s(0.0) == 0.25
    assert bucket.retry_after_s(0.125) == 0.125
    assert bucket.take(0.25)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (1, 0.5)])
def test_a_bucket_that_could_never_give_a_token_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate above 0"):
        TokenBucket(rate, burst, now=0.0)


def test_without_any_bucket_everything_is_allowed() -> None:
    limiter = RateLimiter(connection=None, tenant=None)
    assert all(limiter.allow(0.0) for _ in range(1000))


@pytest.mark.parametrize("whose", ["connection", "tenant"])
def test_one_bucket_alone_limits(whose: str) -> None:
    bucket = TokenBucket(1, 3, now=0.0)
    limiter = RateLimiter(
        connection=bucket if whose == "connection" else None, tenant=bucket if whose == "tenant" else None
    )
    assert [limiter.allow(0.0) for _ in range(5)] == [True, True, True, False, False]


def test_connections_share_their_tenants_bucket() -> None:
    tenant = TokenBucket(1, 3, now=0.0)
    one, other = (RateLimiter(connection=None, tenant=tenant) for _ in range(2))
    assert one.allow(0.0)
    assert other.allow(0.0)
    assert one.allow(0.0)
    assert not other.allow(0.0)


def test_a_connection_over_its_own_limit_does_not_charge_the_tenant() -> None:
    connection, tenant = TokenBucket(1, 1, now=0.0), TokenBucket(1, 5, now=0.0)
    limiter = RateLimiter(connection=connection, tenant=tenant)
    assert [limiter.allow(0.0) for _ in range(4)] == [True, False, False, False]
    assert taken(tenant, 0.0) == 4


def test_a_message_that_the_tenant_refuses_does_not_charge_the_connection() -> None:
    connection, tenant = TokenBucket(1, 5, now=0.0), TokenBucket(1, 1, now=0.0)
    limiter = RateLimiter(connection=connection, tenant=tenant)
    assert [limiter.allow(0.0) for _ in range(4)] == [True, False, False, False]
    assert taken(connection, 0.0) == 4


def limited(close_after_s: float) -> RateLimiter:
    return RateLimiter(connection=TokenBucket(1, 1, now=0.0), tenant=None, close_after_s=close_after_s)


def test_a_connection_refused_for_long_enough_must_close() -> None:
    limiter = limited(0.5)
    assert limiter.allow(0.0)
    assert not limiter.must_close(0.0)
    assert not limiter.allow(0.25)
    assert not limiter.must_close(0.25)
    assert not limiter.allow(0.7)
    assert not limiter.must_close(0.7)
    assert limiter.must_close(0.75)


def test_messages_that_pass_at_the_buckets_own_rate_do_not_end_being_over_it() -> None:
    limiter = RateLimiter(connection=TokenBucket(10, 10, now=0.0), tenant=None, close_after_s=1.0)
    allowed = 0
    for tick in range(100):
        now = tick * 0.05
        allowed += limiter.allow(now)
        if limiter.must_close(now):
            break
    assert allowed > 10
    assert 1.5 < now < 2.5


def test_a_quiet_while_starts_the_time_anew() -> None:
    limiter = limited(0.5)
    assert limiter.allow(0.0)
    assert not limiter.allow(0.9)
    assert limiter.allow(3.0)
    assert not limiter.allow(3.1)
    assert not limiter.must_close(3.1)
    assert not limiter.must_close(3.5)
    assert limiter.must_close(3.7)


def test_what_the_tenants_bucket_refuses_is_not_held_against_a_connection_with_its_own() -> None:
    tenant = TokenBucket(1, 1, now=0.0)
    limiter = RateLimiter(connection=TokenBucket(100, 100, now=0.0), tenant=tenant, close_after_s=0.5)
    assert [limiter.allow(now / 10) for now in range(9)].count(True) == 1
    assert not limiter.must_close(0.9)


def test_zero_never_closes() -> None:
    limiter = limited(0)
    assert limiter.allow(0.0)
    assert not limiter.allow(0.1)
    assert not limiter.must_close(1e9)


def test_a_bucket_takes_another_rate_and_keeps_what_has_gathered() -> None:
    bucket = TokenBucket(1, 10, now=0.0)
    assert taken(bucket, 0.0, tries=8) == 8
    bucket.configure(100, 5, now=1.0)
    assert taken(bucket, 1.0) == 3
    assert taken(bucket, 1.02) == 2
    assert taken(bucket, 100.0) == 5


def test_a_lower_burst_takes_what_is_above_it() -> None:
    bucket = TokenBucket(1, 10, now=0.0)
    bucket.configure(1, 2, now=0.0)
    assert taken(bucket, 0.0) == 2


def test_a_limiter_with_other_buckets_still_knows_how_long_it_has_been_over_its_limit() -> None:
    limiter = RateLimiter(connection=TokenBucket(1, 1, 0.0), tenant=None, close_after_s=1.0)
    for tenth in range(10):
        limiter.allow(tenth / 10)
    tenant = TokenBucket(0.1, 1, 0.0)
    assert tenant.take(0.9)
    limiter.configure(connection=None, tenant=tenant, close_after_s=1.0)
    assert limiter.own_bucket is None
    assert not limiter.allow(1.2)
    assert limiter.must_close(1.2)


def test_what_the_tenants_bucket_refuses_after_a_quiet_time_does_not_close_who_was_over_its_own_limit_before() -> None:
    own, tenant = TokenBucket(1, 1, 0.0), TokenBucket(10, 10, 0.0)
    limiter = RateLimiter(connection=own, tenant=tenant, close_after_s=2.0)
    assert limiter.allow(0.0)
    assert not limiter.allow(0.1)
    assert not limiter.must_close(0.1)
    while tenant.take(9.0):
        """Somebody else empties it."""
    assert not limiter.allow(9.0)
    assert not limiter.must_close(9.0)
