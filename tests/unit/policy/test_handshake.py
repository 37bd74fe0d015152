"""The handshake limiter: who is charged, who is told to wait, and who is forgotten."""

from __future__ import annotations

import pytest

from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.handshake import HandshakeLimiter, HandshakeRates, address_key
from wsprism.protocol.codes import ErrorCode


def limiter(
    *, all_rps: float = 1.0, all_burst: int = 100, ip_rps: float = 1.0, ip_burst: int = 2, entries: int = 10
) -> HandshakeLimiter:
    return HandshakeLimiter(HandshakeRates(all_rps, all_burst, ip_rps, ip_burst, entries), now=0.0)


def reasons(limit: HandshakeLimiter, address: str, times: int, now: float = 0.0) -> list[Reason | None]:
    answers = [limit.check(address, now) for _ in range(times)]
    return [None if answer is None else answer.reason for answer in answers]


def test_an_address_beyond_its_burst_is_refused_and_others_are_not() -> None:
    limit = limiter()
    assert reasons(limit, "192.0.2.1", 3) == [None, None, Reason.HANDSHAKE_IP]
    assert reasons(limit, "192.0.2.2", 2) == [None, None]


def test_one_address_cannot_use_up_the_bucket_of_all() -> None:
    limit = limiter(all_burst=4)
    reasons(limit, "192.0.2.1", 1000)
    assert reasons(limit, "192.0.2.2", 3) == [None, None, Reason.HANDSHAKE_IP]


def test_the_bucket_of_all_bounds_many_addresses() -> None:
    limit = limiter(all_burst=4)
    answers = [limit.check(f"192.0.2.{number}", 0.0) for number in range(6)]
    assert [answer is None for answer in answers] == [True] * 4 + [False] * 2
    assert answers[4] == Denied(Reason.HANDSHAKE_GLOBAL, ErrorCode.RATE_LIMITED, 1)


def test_a_handshake_refused_for_all_does_not_charge_its_address() -> None:
    limit = limiter(all_rps=1000, all_burst=1, ip_rps=0.001, ip_burst=1)
    assert reasons(limit, "192.0.2.1", 1) == [None]
    assert reasons(limit, "192.0.2.2", 3) == [Reason.HANDSHAKE_GLOBAL] * 3
    assert reasons(limit, "192.0.2.2", 1, now=1.0) == [None]


def test_a_refused_address_is_told_when_to_come_back_in_whole_seconds() -> None:
    limit = limiter(ip_rps=0.4, ip_burst=1)
    assert limit.check("192.0.2.1", 0.0) is None
    denied = limit.check("192.0.2.1", 0.0)
    assert denied == Denied(Reason.HANDSHAKE_IP, ErrorCode.RATE_LIMITED, 3)
    assert reasons(limit, "192.0.2.1", 1, now=3.0) == [None]


def test_the_time_to_wait_is_at_least_a_second_and_at_most_a_day() -> None:
    for rate, expected in ((1000.0, 1), (5e-324, 86_400)):
        limit = limiter(ip_rps=rate, ip_burst=1)
        assert limit.check("192.0.2.1", 0.0) is None
        denied = limit.check("192.0.2.1", 0.0)
        assert denied is not None
        assert denied.retry_after_s == expected


def test_the_least_recently_seen_address_is_forgotten() -> None:
    limit = limiter(entries=2, ip_burst=1)
    for address in ("192.0.2.1", "192.0.2.2"):
        assert reasons(limit, address, 1) == [None]
    assert reasons(limit, "192.0.2.1", 1) == [Reason.HANDSHAKE_IP]
    assert reasons(limit, "192.0.2.3", 1) == [None]
    assert len(limit) == 2
    assert reasons(limit, "192.0.2.1", 1) == [Reason.HANDSHAKE_IP]
    assert reasons(limit, "192.0.2.2", 1) == [None]


def test_an_attacker_who_goes_on_is_never_forgotten() -> None:
    limit = limiter(all_burst=10_000, entries=10)
    reasons(limit, "192.0.2.1", 2)
    for number in range(500):
        limit.check(f"198.51.100.{number}", 0.0)
        assert reasons(limit, "192.0.2.1", 1) == [Reason.HANDSHAKE_IP]
    assert len(limit) == 10


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "20010db800000000::/64"),
        ("2001:db8::ffff:1", "20010db800000000::/64"),
        ("2001:db8:0:1::1", "20010db800000001::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("", ""),
        ("unix", "unix"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_address_counts_as(address: str, key: str) -> None:
    assert address_key(address) == key


def test_hosts_of_one_ipv6_site_share_a_bucket() -> None:
    limit = limiter(ip_burst=1)
    assert reasons(limit, "2001:db8::1", 1) == [None]
    assert reasons(limit, "2001:db8::2", 1) == [Reason.HANDSHAKE_IP]
    assert reasons(limit, "2001:db8:0:1::2", 1) == [None]


def test_an_address_that_is_being_limited_is_not_forgotten_for_others() -> None:
    limit = limiter(entries=3, ip_burst=2)
    assert reasons(limit, "192.0.2.1", 3) == [None, None, Reason.HANDSHAKE_IP]
    for number in range(10):
        assert reasons(limit, f"198.51.100.{number}", 1) == [None]
    assert len(limit) == 3
    assert reasons(limit, "192.0.2.1", 1) == [Reason.HANDSHAKE_IP]
